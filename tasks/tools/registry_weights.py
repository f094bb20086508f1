"""A version's weights removed from MLflow's files; its figures, its lineage and its page stay.

MLflow's own commands leave them: `gc` the logged model's, `delete_model_version` all of them.
"""

from datetime import UTC, datetime
from pathlib import PurePosixPath

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from amun.core.temporary import open_temporary
from amun.vault.sealed_weights import PlainFile
from tasks.tools.digests import compute_md5
from tasks.tools.registered import ERASED_TAG
from tasks.tools.registry import SERVING_FILE, WEIGHTS, download, erase_file, open_registry, translate_errors


def describe_serving_file(model: str, number: int) -> PlainFile | None:
    """Returns by what the file of a version that serves is known again; None where it is removed.

    Raises:
        AmunError: the registry does not answer, or the file cannot be read.
    """
    with translate_errors():
        client = open_registry()
        folder = _locate_model(client, client.get_model_version(model, str(number)))
    return describe_file_in(folder)


def describe_file_in(folder: str) -> PlainFile | None:
    """Returns the same of the file of a model that serves in a folder of MLflow's."""
    with translate_errors(), open_temporary() as target:
        inside = str(PurePosixPath(SERVING_FILE).parent)
        if all(entry.path != SERVING_FILE for entry in get_artifact_repository(folder).list_artifacts(inside)):
            return None
        path = download(f"{folder.rstrip('/')}/{SERVING_FILE}", target)
        return PlainFile(size=path.stat().st_size, md5=str(compute_md5(path)))


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
        erase_file(_locate_model(client, version), SERVING_FILE)
        erase_file(client.get_run(str(version.run_id)).info.artifact_uri, WEIGHTS)
        copies = mark_copies(client, _name_model(version), str(version.run_id), origin=f"{model}/{number}")
        # last: until then it is done again
        client.set_model_version_tag(model, str(number), ERASED_TAG, day)
    return copies


def mark_copies(client: MlflowClient, model_id: str, run_id: str, *, origin: str | None = None) -> list[str]:
    """Marks all versions that MLflow has made from a logged model or from its version; returns them, `model/number`.

    Args:
        client: of the registry.
        model_id: of the logged model whose weights are erased.
        run_id: of the run that has made it: of a version that is deleted its copies name nothing else.
        origin: the version itself, which is left to the caller; None where it is deleted.
    """
    day, sources = f"{datetime.now(UTC):%Y-%m-%d}", {f"models:/{model_id}", f"models:/{origin or model_id}"}

    def is_copy(version: ModelVersion) -> bool:
        if version.run_id != run_id:
            return version.source in sources
        # it may have made more than this one
        location = client.get_model_version_download_uri(version.name, str(version.version))
        return version.source in sources or model_id in location.split("/")

    found = {f"{version.name}/{version.version}": version for version in client.search_model_versions()}
    copies = [name for name, version in found.items() if name != origin and is_copy(version)]
    for name in copies:
        client.set_model_version_tag(found[name].name, str(found[name].version), ERASED_TAG, day)
    return copies


def _name_model(version: ModelVersion) -> str:
    """Returns the id of the logged model that a wave's version is of."""
    return str(version.source).removeprefix("models:/")


def _locate_model(client: MlflowClient, version: ModelVersion) -> str:
    """Returns the folder of a version's logged model, also of one that somebody has deleted without its files."""
    model_id = _name_model(version)
    try:
        return str(client.get_logged_model(model_id).artifact_location)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    experiment = client.get_experiment(client.get_run(str(version.run_id)).info.experiment_id)
    return f"{str(experiment.artifact_location).rstrip('/')}/models/{model_id}/artifacts"
