"""A version's weights removed from MLflow's files; its figures, its lineage and its page stay.

MLflow's own commands leave them: `gc` the logged model's, `delete_model_version` all of them.
"""

from datetime import UTC, datetime
from pathlib import PurePosixPath

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from amun.core.errors import AmunError
from tasks.tools import s3
from tasks.tools.registered import ERASED_TAG
from tasks.tools.registry import SERVING_FILE, WEIGHTS, open_registry, translate_errors


def erase_weights(model: str, number: int) -> list[str]:
    """Removes a version's weights, both the model that serves and the safetensors file, and marks the version.

    On S3 all their object versions go. Said again it changes nothing.

    Returns:
        the versions of other models that MLflow has made by copying this one: they are the same files, and marked too.

    Raises:
        AmunError: the registry does not answer, or still lists a file.
    """
    with translate_errors():
        client = open_registry()
        version, day = client.get_model_version(model, str(number)), f"{datetime.now(UTC):%Y-%m-%d}"
        copies = _find_copies(client, version)
        erase_file(_locate_model(client, version), SERVING_FILE)
        erase_file(client.get_run(str(version.run_id)).info.artifact_uri, WEIGHTS)
        for marked in (*copies, version):
            client.set_model_version_tag(marked.name, str(marked.version), ERASED_TAG, day)
    return [f"{copy.name}/{copy.version}" for copy in copies]


def _find_copies(client: MlflowClient, origin: ModelVersion) -> list[ModelVersion]:
    sources = {origin.source, f"models:/{origin.name}/{origin.version}"}
    return [
        other
        for other in client.search_model_versions()
        if (other.name, other.version) != (origin.name, origin.version) and other.source in sources
    ]


def erase_file(folder: str, name: str) -> None:
    """Removes a file from a folder of MLflow's, and looks whether it is gone.

    Raises:
        AmunError: it is still listed.
    """
    repository, parent = get_artifact_repository(folder), PurePosixPath(name).parent
    if s3.is_location(folder):
        place = s3.parse_location(folder)
        s3.delete_versions(s3.open_client(), place.bucket, place.join(name))
    else:
        repository.delete_artifacts(name)  # type: ignore[no-untyped-call] # MLflow does not type it
    inside = None if parent == PurePosixPath() else str(parent)
    # what tells that it went is the listing: not every repository of MLflow's says so when it did not
    if any(entry.path == name for entry in repository.list_artifacts(inside)):
        raise AmunError(f"MLflow still has {name} in {folder} after removing it; see that its files can be removed")


def _locate_model(client: MlflowClient, version: ModelVersion) -> str:
    """Returns the folder of a version's logged model, also of one that somebody has deleted without its files."""
    model_id = str(version.source).removeprefix("models:/")
    try:
        return str(client.get_logged_model(model_id).artifact_location)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    experiment = client.get_experiment(client.get_run(str(version.run_id)).info.experiment_id)
    return f"{str(experiment.artifact_location).rstrip('/')}/models/{model_id}/artifacts"
