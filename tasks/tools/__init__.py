"""What the steps talk to: git, DVC, MLflow, S3, Prefect and the servers; one file per tool."""
