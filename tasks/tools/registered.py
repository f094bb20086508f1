"""What the registry has registered: versions of the model, and which of them is the champion."""

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from amun.core.errors import AmunError, InputError
from amun.evidence.adoption import Adopted
from tasks.tools.environment import MLFLOW_VARIABLE
from tasks.tools.git import is_ancestor
from tasks.tools.registry_tables import CHAMPION, RegisteredVersion, find_database, read_versions

COMMIT_TAG = "amun.commit"  # of a wave's run and version, and in the model's own file
ERASED_TAG = "amun.weights_erased_at"


@dataclass(frozen=True)
class WaveVersion:
    """A version that a wave has registered, as a rule the one that serves.

    Attributes:
        version: its number.
        run_id: the MLflow run that holds its files.
        weights_digest: the keyed digest of its safetensors file.
        wave: the wave that registered it.
        commit: the git commit that records that wave.
        weights_erased_at: the day on which its weights were erased; None while they are there.
    """

    version: int
    run_id: str
    weights_digest: str
    wave: int
    commit: str
    weights_erased_at: str | None = None


def list_versions(model: str) -> list[RegisteredVersion]:
    """Returns all versions of the model by number, those that no wave has registered among them.

    Raises:
        AmunError: the registry does not answer.
    """
    database = find_database(os.environ.get(MLFLOW_VARIABLE, ""))
    if database is not None:
        try:
            return read_versions(database, model)
        except sqlite3.Error:
            pass  # of another MLflow, or damaged: MLflow's client says which, and what to do
    from tasks.tools import registry

    return registry.ask_versions(model)


def find_champion(model: str, *, may_be_foreign: bool = False) -> WaveVersion | None:
    """Returns the version that serves; None before wave 0 has ended.

    Args:
        model: the registered model.
        may_be_foreign: one that no wave has registered counts as none: a base is being adopted from this very model.

    Raises:
        AmunError: the registry does not answer, or its champion is not one of this pipeline's versions.
    """
    version = next((version for version in list_versions(model) if CHAMPION in version.aliases), None)
    if version is None:
        return None
    if not _is_ours(version):
        if may_be_foreign:
            return None
        raise AmunError(
            f"MLflow: the champion of {model} is version {version.number}, which no wave has registered; set the "
            "alias back, or adopt that version in a new workspace (`amun init --base`)"
        )
    return _read_version(version)


def get_registered(model: str, number: int) -> WaveVersion:
    """Returns a version that a wave has registered, whether it serves or not.

    Raises:
        InputError: there is none of this number.
        AmunError: the registry does not answer.
    """
    version = require_version(model, number)
    if not _is_ours(version):
        raise InputError(f"version {number} of {model} in MLflow was registered by no wave")
    return _read_version(version)


def require_version(model: str, number: int) -> RegisteredVersion:
    """Returns a version, whoever has registered it.

    Raises:
        InputError: there is none of this number.
        AmunError: the registry does not answer.
    """
    version = next((version for version in list_versions(model) if version.number == number), None)
    if version is None:
        raise InputError(f"MLflow has no version {number} of {model}; `amun model list` shows them")
    return version


def list_registered(model: str) -> list[WaveVersion]:
    """Returns the versions that waves have registered, by number.

    Raises:
        AmunError: the registry does not answer.
    """
    return [_read_version(version) for version in list_versions(model) if _is_ours(version)]


def require_own_model(root: Path, model: str, adopted: Adopted | None, *, is_recorded: bool) -> None:
    """Refuses a registry that has versions of this name from waves which this branch does not record.

    Args:
        root: of the clone.
        model: the registered model.
        adopted: where the base is adopted from, if it is.
        is_recorded: whether HEAD records a wave.

    Raises:
        InputError: a new base would take the champion's place.
    """
    champion = find_champion(model, may_be_foreign=adopted is not None and adopted.name == model)
    last = champion or next(reversed(list_registered(model)), None)
    if last is not None and not (is_recorded and is_ancestor(root, last.commit)):
        what = "champion" if champion is not None else "version"
        raise InputError(
            f"params.yaml: model.name: MLflow has a {what} of {model} from another workspace (version {last.version} "
            f"of wave {last.wave}, commit {last.commit[:12]}), which a new base must not replace; choose another name, "
            "or join that workspace in a clone of its branch"
        )


def _is_ours(version: RegisteredVersion) -> bool:
    return "amun.weights_digest" in version.tags


def _read_version(version: RegisteredVersion) -> WaveVersion:
    tags = version.tags
    return WaveVersion(
        version.number,
        str(version.run_id),
        tags["amun.weights_digest"],
        int(tags["amun.wave"]),
        tags[COMMIT_TAG],
        tags.get(ERASED_TAG),
    )
