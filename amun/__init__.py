"""Machine unlearning for image classifiers: the method, its audit and the files they live in.

This package is the library layer. It never imports Prefect, MLflow, DVC or boto3.
"""

# the one place of the version: the package's metadata and `amun --version` take it from here
__version__ = "0.2.0"
