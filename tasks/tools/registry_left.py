"""Weights that lie among MLflow's files though no version in the registry names them any more.

Deleting a version or a run leaves them, and so does MLflow's `gc` with a logged model's. What there is, the listing of
the files tells, not the registry.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import yaml
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from amun.core.temporary import open_temporary
from tasks.tools import s3
from tasks.tools.registered import COMMIT_TAG
from tasks.tools.registry import SERVING_FILE, WEIGHTS, download, erase_file, open_registry, translate_errors
from tasks.tools.registry_weights import mark_copies
from tasks.tools.s3_versions import list_keys

_LOGGED = "models"  # the folder of an experiment's logged models
_DESCRIPTION = "MLmodel"


@dataclass(frozen=True)
class LeftFile:
    """A file with weights that no version names.

    Attributes:
        folder: of MLflow's, in which it lies.
        name: its path in there.
        commit: of the wave that has made it; None where nothing tells any more.
        run_id: of the run that has made it; empty where nothing tells any more.
        model_id: of the logged model that it is of; empty where it is a run's own.
    """

    folder: str
    name: str
    commit: str | None
    run_id: str
    model_id: str = ""

    def __str__(self) -> str:
        return f"{self.folder}/{self.name}"


def list_left_files(model: str) -> list[LeftFile]:
    """Returns the weights of this model's experiment that no version of the model names, by their paths.

    What a run has that no wave has made is somebody's own, and is left out.

    Raises:
        AmunError: the registry does not answer, or gives a file that it lists to nobody.
    """
    with translate_errors():
        client = open_registry()
        experiment = client.get_experiment_by_name(model)
        if experiment is None:
            return []
        root = str(experiment.artifact_location).rstrip("/")
        versions = client.search_model_versions(f"name = '{model}'")
        named = {str(version.run_id) for version in versions}
        named |= {str(version.source).removeprefix("models:/") for version in versions}
        found = (_describe(client, root, path) for path in _list_weights(root, named))
        return sorted((file for file in found if file is not None), key=str)


def erase_left_file(file: LeftFile) -> list[str]:
    """Removes the file, on S3 with all its versions; said again it changes nothing.

    Returns:
        the versions of other models that MLflow has made by copying what the file is of: they are marked.

    Raises:
        AmunError: the registry does not answer, or still lists the file.
    """
    with translate_errors():
        erase_file(file.folder, file.name)
        return mark_copies(open_registry(), file.model_id, file.run_id) if file.model_id else []


def _list_weights(root: str, named: set[str]) -> Iterator[str]:
    """Yields the paths, below an experiment's files, of all weights but those of the named runs and logged models."""
    if s3.is_location(root):
        place = s3.parse_location(root)
        # versions that were replaced, and files of which only these are left, are listed nowhere else
        for key in sorted(list_keys(s3.open_client(), place)):
            path = key.removeprefix(place.join(""))
            if _name_owner(path) not in {None, *named}:
                yield path
        return
    folders = [path for path in _list_names(root, None) if PurePosixPath(path).name not in {_LOGGED, *named}]
    logged = [path for path in _list_names(root, _LOGGED) if PurePosixPath(path).name not in named]
    for folder, name in [*((path, WEIGHTS) for path in folders), *((path, SERVING_FILE) for path in logged)]:
        path = f"{folder}/artifacts/{name}"
        if path in _list_names(root, str(PurePosixPath(path).parent)):
            yield path


def _list_names(root: str, folder: str | None) -> list[str]:
    try:
        return [str(entry.path) for entry in get_artifact_repository(root).list_artifacts(folder)]
    except NotADirectoryError:
        return []


def _name_owner(path: str) -> str | None:
    """Returns the run or the logged model whose weights lie at this path; None where none do."""
    run_id, _, rest = path.partition("/")
    if run_id == _LOGGED:
        run_id, _, rest = rest.partition("/")
        return run_id if rest == f"artifacts/{SERVING_FILE}" else None
    return run_id if rest == f"artifacts/{WEIGHTS}" else None


def _describe(client: MlflowClient, root: str, path: str) -> LeftFile | None:
    """Returns the file with the wave that has made it; None for what is somebody's own."""
    owner = str(_name_owner(path))
    # the root may have a folder of that name, too
    inside, _, name = path.partition("/artifacts/")
    folder = f"{root}/{inside}/artifacts"
    is_logged = path.startswith(f"{_LOGGED}/")
    described = _read_description(folder) if is_logged else {}
    noted = (described.get("metadata") or {}).get(COMMIT_TAG)
    run_id = str(described.get("run_id") or "") if is_logged else owner
    try:
        tags = dict(client.get_run(run_id).data.tags) if run_id else {}
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        tags = {}
    else:
        if run_id and not (noted or COMMIT_TAG in tags):
            return None
    return LeftFile(folder, name, noted or tags.get(COMMIT_TAG), run_id, owner if is_logged else "")


def _read_description(folder: str) -> dict[str, Any]:
    """Returns what MLflow has written of a logged model beside it; nothing where that is gone or damaged."""
    # a download that fails says nothing of the kind: what was there a moment ago must not count as gone
    if _DESCRIPTION not in _list_names(folder, None):
        return {}
    with open_temporary() as target:
        try:
            content = yaml.safe_load(download(f"{folder}/{_DESCRIPTION}", target).read_text(encoding="utf-8"))
        except (UnicodeError, yaml.YAMLError):
            return {}
    return content if isinstance(content, dict) else {}
