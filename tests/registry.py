"""What MLflow holds of a workspace's model."""

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion

from tests.workspaces import MODEL, Site


def open_client(site: Site) -> MlflowClient:
    """Returns a client of the workspace's own registry."""
    return MlflowClient(tracking_uri=f"sqlite:///{site.root / '.amun/mlflow.db'}")


def find_version(site: Site, number: int) -> tuple[ModelVersion, Run]:
    """Returns the one version of a wave, and its run."""
    client = open_client(site)
    (version,) = client.search_model_versions(f"name = '{MODEL}' and tags.`amun.wave` = '{number}'")
    return version, client.get_run(str(version.run_id))


def list_attempts(site: Site, number: int) -> list[Run]:
    """Returns the runs below a wave's own, by attempt."""
    _, parent = find_version(site, number)
    below = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    found = open_client(site).search_runs([parent.info.experiment_id], below)
    return sorted(found, key=lambda run: int(run.data.tags["amun.attempt"]))
