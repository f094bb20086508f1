"""The MLflow registry: versions of the model, the alias `champion`, and a version's weights."""

import logging
import os
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from amun.errors import AmunError
from amun.keys import file_digest
from amun.paths import STATE

CHAMPION = "champion"
WEIGHTS = "model.safetensors"

# MLflow tells of each of its housekeeping steps
for _name in ("mlflow", "alembic"):
    logging.getLogger(_name).setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module=r"mlflow(\..*)?")


@dataclass(frozen=True)
class Champion:
    """The version that serves.

    Attributes:
        version: its number.
        run_id: the MLflow run that holds its files.
        weights_digest: the keyed digest of its safetensors file.
    """

    version: int
    run_id: str
    weights_digest: str


def open_registry() -> MlflowClient:
    """Returns a client of the tracking server or database that the environment names."""
    return MlflowClient()


def ensure_model(root: Path, model: str) -> str:
    """Creates the experiment and the registered model where they are missing; returns the experiment's id.

    Without a server the artifacts lie in the workspace; a server puts them where it is told to.
    """
    client = open_registry()
    if client.get_experiment_by_name(model) is None:
        is_local = os.environ["MLFLOW_TRACKING_URI"].startswith("sqlite:")
        location = (root / STATE / "mlartifacts" / model).as_uri() if is_local else None
        # MLflow's page then shows training runs first, not evaluations of language models
        tags = {"mlflow.experimentKind": "custom_model_development"}
        client.create_experiment(model, artifact_location=location, tags=tags)
    if not client.search_registered_models(f"name = '{model}'"):
        client.create_registered_model(model)
    experiment = client.get_experiment_by_name(model)
    if experiment is None:
        raise AmunError(f"MLflow has no experiment {model} although it was just created; is it marked as deleted?")
    return str(experiment.experiment_id)


def find_champion(model: str) -> Champion | None:
    """Returns the version that serves; None before wave 0 has ended."""
    try:
        version = open_registry().get_model_version_by_alias(model, CHAMPION)
    except MlflowException:
        return None
    return Champion(int(version.version), str(version.run_id), version.tags["amun.weights_digest"])


def find_version(model: str, number: int) -> ModelVersion | None:
    """Returns the version that a wave has registered, if it has."""
    found = open_registry().search_model_versions(f"name = '{model}' and tags.`amun.wave` = '{number}'")
    return found[0] if found else None


def fetch_weights(champion: Champion, destination: Path, secret: bytes) -> None:
    """Writes a version's weights to `destination`, once they are what was registered.

    Raises:
        AmunError: the registry gives other bytes than were registered.
    """
    with tempfile.TemporaryDirectory() as folder:
        fetched = Path(download_artifacts(run_id=champion.run_id, artifact_path=WEIGHTS, dst_path=folder))
        if file_digest(secret, fetched) != champion.weights_digest:
            raise AmunError(f"version {champion.version}: {WEIGHTS} in the registry is not what was registered")
        destination.parent.mkdir(parents=True, exist_ok=True)
        unfinished = destination.with_suffix(".unfinished")
        unfinished.write_bytes(fetched.read_bytes())
        unfinished.replace(destination)


def start_run(experiment_id: str, name: str, number: int, tags: dict[str, str]) -> str:
    """Returns the id of a new run for a wave; a run that a killed attempt at registering left is removed."""
    client = open_registry()
    for run in client.search_runs([experiment_id], f"tags.`amun.wave` = '{number}'"):
        client.delete_run(run.info.run_id)
    run_id: str = client.create_run(experiment_id, run_name=name, tags=tags | {"amun.wave": str(number)}).info.run_id
    return run_id


def promote(model: str, version: int) -> None:
    """Makes a version the champion."""
    open_registry().set_registered_model_alias(model, CHAMPION, str(version))
