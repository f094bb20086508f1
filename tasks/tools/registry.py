"""The MLflow registry: versions of the model, the alias `champion`, and a version's weights."""

import logging
import os
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts, list_artifacts
from mlflow.entities import FileInfo
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request
from sqlalchemy.exc import SQLAlchemyError

from amun.core.errors import AmunError, join_lines
from amun.core.files import replace_file
from amun.core.keys import file_digest
from amun.core.masking import mask_passwords
from amun.core.network import read_timeout
from amun.core.paths import REGISTRY_FILES
from amun.core.temporary import open_temporary
from tasks.tools import s3
from tasks.tools.environment import MLFLOW_VARIABLE
from tasks.tools.registered import COMMIT_TAG, WaveVersion
from tasks.tools.registry_tables import CHAMPION, RegisteredVersion

WEIGHTS = "model.safetensors"
SERVING_FILE = "data/model.pt2"

# MLflow tells of each of its housekeeping steps
for _name in ("mlflow", "alembic"):
    logging.getLogger(_name).setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module=r"mlflow(\..*)?")


@dataclass(frozen=True)
class Registered:
    """A version in the registry."""

    version: int
    run_id: str


class DamagedWeightsError(AmunError):
    """The registry gives other weights than were registered."""


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turns MLflow's refusals and silences into one line; a file of this machine that cannot be read names itself.

    Raises:
        AmunError: what MLflow or the file system said.
    """
    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError, BotoCoreError, ClientError, Boto3Error) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise AmunError(f"{error.filename}: {error.strerror}") from None
        raise AmunError(f"MLflow at {os.environ['MLFLOW_TRACKING_URI']} failed: {_shorten(error)}") from None


def _shorten(error: Exception) -> str:
    # before it is cut, or half a password might be left
    return mask_passwords(join_lines(error))[:300]


def open_registry() -> MlflowClient:
    """Returns a client of the tracking server or database that the environment names.

    It is named to MLflow, which would prefer an address that something else in this process has set.

    Raises:
        AmunError: no server or database answers at that address.
    """
    # where its files lie on S3
    s3.bound_default_waits(read_timeout())
    address = os.environ.get(MLFLOW_VARIABLE)
    if address is not None and address.startswith("http"):
        _require_answer(address)
    if address is not None and address.startswith("postgresql"):
        from amun.core.postgres import bound_other_engines, require_database

        bound_other_engines()
        require_database(MLFLOW_VARIABLE, address)
    return MlflowClient(address)


def download(artifact: str, folder: Path) -> Path:
    """Returns where a file or a folder of the registry's lies once it is fetched into a folder of this machine.

    As in `open_registry`, MLflow is told which registry.

    Raises:
        MlflowException: there is none, or the registry keeps silent.
    """
    return Path(
        download_artifacts(artifact_uri=artifact, dst_path=str(folder), tracking_uri=os.environ.get(MLFLOW_VARIABLE))
    )


def list_entries(folder: str) -> list[FileInfo]:
    """Returns what lies in a folder of the registry's.

    Raises:
        MlflowException: there is none, or the registry keeps silent.
    """
    return list_artifacts(artifact_uri=folder, tracking_uri=os.environ.get(MLFLOW_VARIABLE))


@cache
def _require_answer(address: str) -> None:
    """Asks a server once for any answer: MLflow would ask a silent one again and again."""
    try:
        ask_server(address, "/health")
    except MlflowException:
        raise AmunError(
            f"{MLFLOW_VARIABLE}: no server answers at {address} within {read_timeout():g} seconds; start it, or unset "
            "the variable"
        ) from None


def ask_server(address: str, path: str, max_retries: int = 0) -> Any:
    """Returns a server's answer, asked as MLflow's own client asks: with its variables for passwords and certificates.

    Raises:
        MlflowException: it keeps silent.
    """
    credentials = get_default_host_creds(address)  # type: ignore[no-untyped-call] # MLflow does not type these two
    return http_request(  # type: ignore[no-untyped-call]
        credentials, path, "GET", max_retries=max_retries, timeout=read_timeout(), raise_on_status=False
    )


def ensure_model(root: Path, model: str) -> str:
    """Creates the experiment and the registered model where they are missing; returns the experiment's id."""
    client, experiment_id = open_registry(), ensure_experiment(root, model)
    if not client.search_registered_models(f"name = '{model}'"):
        client.create_registered_model(model)
    return experiment_id


def ensure_experiment(root: Path, name: str) -> str:
    """Creates the experiment where it is missing; returns its id.

    Without a server the artifacts lie in the workspace; a server puts them where it is told to.
    """
    client = open_registry()
    if client.get_experiment_by_name(name) is None:
        # a server puts artifacts where it is told to; a database knows no place
        is_local = not os.environ["MLFLOW_TRACKING_URI"].startswith("http")
        location = (root / REGISTRY_FILES / name).as_uri() if is_local else None
        # MLflow's page then shows training runs first, not evaluations of language models
        tags = {"mlflow.experimentKind": "custom_model_development"}
        client.create_experiment(name, artifact_location=location, tags=tags)
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        raise AmunError(f"MLflow has no experiment {name} although it was just created; is it marked as deleted?")
    return str(experiment.experiment_id)


def find_version(model: str, number: int, commit: str) -> ModelVersion | None:
    """Returns the version that a wave has registered, if it has.

    Raises:
        AmunError: another workspace's wave of that number has registered one under this model's name.
    """
    found = open_registry().search_model_versions(f"name = '{model}' and tags.`amun.wave` = '{number}'")
    if found and found[0].tags[COMMIT_TAG] != commit:
        raise AmunError(
            f"MLflow has version {found[0].version} of {model} from another wave {number} "
            f"(commit {found[0].tags[COMMIT_TAG][:12]}): two workspaces need two model.name"
        )
    return found[0] if found else None


def ask_versions(model: str) -> list[RegisteredVersion]:
    """Returns all versions of the model by number, as MLflow's client tells them.

    Raises:
        AmunError: the registry does not answer.
    """
    with translate_errors():
        client = open_registry()
        found = client.search_model_versions(f"name = '{model}'")
        named = client.get_registered_model(model).aliases if found else {}
    aliases: dict[str, list[str]] = defaultdict(list)
    for alias, number in sorted(named.items()):
        aliases[str(number)].append(alias)
    return [
        RegisteredVersion(
            number=int(version.version),
            run_id=version.run_id or None,
            registered_at=datetime.fromtimestamp(version.creation_timestamp / 1000, UTC),
            tags=version.tags,
            aliases=tuple(aliases[str(version.version)]),
        )
        for version in sorted(found, key=lambda version: int(version.version))
    ]


def fetch_weights(version: WaveVersion, destination: Path, secret: bytes) -> None:
    """Writes a version's weights to `destination`, once they are what was registered.

    Raises:
        AmunError: the registry does not answer, or they are erased.
        DamagedWeightsError: it gives other bytes than were registered.
    """
    if version.weights_erased_at is not None:
        raise AmunError(f"version {version.version}: its weights were erased on {version.weights_erased_at}")
    with open_temporary() as folder:
        with translate_errors():
            _require_folder(version)
            fetched = download(f"runs:/{version.run_id}/{WEIGHTS}", folder)
        if file_digest(secret, fetched) != version.weights_digest:
            raise DamagedWeightsError(
                f"version {version.version}: {WEIGHTS} in the registry is not what was registered"
            )
        with replace_file(destination) as unfinished:
            unfinished.write_bytes(fetched.read_bytes())


def _require_folder(version: WaveVersion) -> None:
    """Refuses a registry whose files should lie in a folder of this machine that is not there.

    Raises:
        AmunError: the workspace was moved: MLflow's database names its files by full paths.
    """
    place = urlsplit(open_registry().get_run(version.run_id).info.artifact_uri)
    if place.scheme not in ("", "file"):
        return
    # what lies there is RUN/artifacts
    if not (folder := Path(unquote(place.path)).parent.parent).is_dir():
        raise AmunError(
            f"MLflow has the files of version {version.version} in {folder}, which is not there: its database names "
            "full paths; move the workspace back to where it was made, or make a link there that leads to it"
        )


def replace_weights(version: WaveVersion, weights: Path) -> None:
    """Writes a version's weights anew, from a file of that name."""
    with translate_errors():
        open_registry().log_artifact(version.run_id, str(weights))


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


def start_run(experiment_id: str, name: str, number: int, tags: dict[str, str], started_at: datetime) -> str:
    """Returns the id of a new run for a wave; runs that a killed attempt at registering left are removed."""
    client = open_registry()
    for run in client.search_runs([experiment_id], f"tags.`amun.wave` = '{number}'"):
        for model in client.search_logged_models([experiment_id], f"source_run_id = '{run.info.run_id}'"):
            # MLflow leaves the files, and nobody would find the model in clear again
            erase_file(str(model.artifact_location), SERVING_FILE)
            client.delete_logged_model(model.model_id)
        client.delete_run(run.info.run_id)
    start_time = int(started_at.timestamp() * 1000)
    run_id: str = client.create_run(experiment_id, start_time, tags, name).info.run_id
    return run_id


def promote(model: str, version: int) -> None:
    """Makes a version the champion."""
    open_registry().set_registered_model_alias(model, CHAMPION, str(version))


def mark_undone(model: str, versions: Sequence[int], mark: str) -> None:
    """Says of versions that a rollback has taken them back."""
    for version in versions:
        open_registry().set_model_version_tag(model, str(version), "amun.rolled_back", mark)
