"""One version of the model in full: from the registry, the ledger, and git at its commit."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from mlflow.entities import FileInfo, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from amun.core.errors import InputError
from amun.core.paths import DECISIONS, PARAMS
from amun.evidence.attempts import Judged, parse_decisions
from amun.ledger import Wave
from amun.ledger.holder import tell_holder
from tasks.tools import registry
from tasks.tools.dvc import list_digests, read_lock_at
from tasks.tools.git import has_commit, name_tag, read_committed
from tasks.views.lineage import Version, list_versions
from tasks.workspace.history import tell_how_to_fetch
from tasks.workspace.workspace import Workspace, open_ledger

# tags that stand elsewhere in a version's details, in words of their own
TOLD_TAGS = {
    f"amun.{name}"
    for name in ("wave", "kind", "parent_version", "commit", "method", "attempt", "gate", "num_forget", "rolled_back")
}
Parameters = dict[str, str | float | None]  # of `params.yaml`, by their dotted keys
# what a version's figures depend on, by what made it
BASE_SECTIONS = ("model", "data", "training", "references", "runtime")
WAVE_SECTIONS = ("model", "data", "adversarial", "unlearning", "audit", "gate", "runtime")


@dataclass(frozen=True)
class Details:
    """One version in full.

    Attributes:
        model: the model's name.
        version: its place in the lineage.
        origin: who made it, when, from what and how.
        decisions: the gate's, on each attempt of its wave.
        metrics: its figures, as MLflow has them.
        parameters: of `params.yaml` at its commit, those that made it; empty where the commit is not in this clone.
        data: MD5 of each data file that `dvc.lock` names at its commit; empty likewise.
        digests: the keyed digests that it was registered with.
        files: what MLflow holds of it, in bytes.
    """

    model: str
    version: Version
    origin: dict[str, str | int | None]
    decisions: tuple[Judged, ...]
    metrics: dict[str, float]
    parameters: Parameters
    data: dict[str, str]
    digests: dict[str, str]
    files: dict[str, int]


def describe_version(workspace: Workspace, number: int) -> Details:
    """Returns one version in full.

    Raises:
        InputError: there is no such version.
    """
    root, version = workspace.root, find_version(list_versions(workspace), number, workspace.model)
    with registry.translate_errors():
        registered = registry.open_registry().get_model_version(workspace.model, str(number))
        run = find_run(registered)
        files = dict(_list_files(registered))
    wave = _find_wave(workspace, version)
    commit = version.commit if version.commit and has_commit(root, version.commit) else ""
    return Details(
        model=workspace.model,
        version=version,
        origin=_describe_origin(version, registered, wave, _locate_commit(root, version.commit, commit)),
        decisions=parse_decisions(read_committed(root, DECISIONS, commit) or "[]", str(DECISIONS)) if commit else (),
        metrics={} if run is None else dict(sorted(run.data.metrics.items())),
        parameters=_choose_parameters(version, read_parameters(root, commit)),
        data=read_data(root, commit),
        digests=_list_digests(registered),
        files=files,
    )


def find_version(versions: Sequence[Version], number: int, model: str) -> Version:
    """Returns the version of that number.

    Raises:
        InputError: there is none.
    """
    found = [version for version in versions if version.number == number]
    if not found:
        raise InputError(f"{model} has no version {number} in MLflow; `amun model list` shows them")
    return found[0]


def find_run(registered: ModelVersion) -> Run | None:
    """Returns the run that a version came from, if it came from one."""
    return registry.open_registry().get_run(registered.run_id) if registered.run_id else None


def _find_wave(workspace: Workspace, version: Version) -> Wave | None:
    if version.wave is None or version.wave_state is None:
        return None
    with open_ledger() as ledger:
        return ledger.get_wave(workspace.model, version.wave)


def _locate_commit(root: Path, named: str | None, found: str) -> str | None:
    """Returns the commit that a version names, and how to fetch it where it was not found."""
    return named if named is None or found else f"{named} (not in this clone; {tell_how_to_fetch(root)} brings it)"


def _describe_origin(
    version: Version, registered: ModelVersion, wave: Wave | None, commit: str | None
) -> dict[str, str | int | None]:
    return {
        "registered": f"{version.registered_at:%Y-%m-%d %H:%M:%S} UTC",
        "description": (registered.description or "").partition("\n")[0] or None,
        "from version": version.parent,
        "wave": version.wave,
        "kind": version.kind,
        "method": version.method,
        "attempt": version.attempt,
        "training samples forgotten": version.num_forget,
        "subjects forgotten so far": version.num_subjects,
        "opened": None if wave is None else f"{wave.opened_at:%Y-%m-%d %H:%M:%S} UTC",
        "run by": None if wave is None else tell_holder(wave.holder),
        "tag": None if version.wave is None else name_tag(version.wave),
        "commit": commit,
    } | {
        name.removeprefix("amun.").replace("_", " "): value or None
        for name, value in sorted(registered.tags.items())
        if name.startswith("amun.") and name not in TOLD_TAGS and not name.endswith("_digest")
    }


def _choose_parameters(version: Version, parameters: Parameters) -> Parameters:
    """Returns which of a commit's parameters made a version: of its attempts, the one that passed."""
    sections = BASE_SECTIONS if version.kind == "base" else WAVE_SECTIONS
    attempts = "unlearning.attempts."
    return {
        name: value
        for name, value in parameters.items()
        if name.partition(".")[0] in sections
        and (not name.startswith(attempts) or name == f"{attempts}{version.attempt}")
    }


def read_parameters(root: Path, commit: str) -> Parameters:
    """Returns the parameters at a commit of this clone by their dotted keys; none at an empty one."""
    committed = read_committed(root, PARAMS, commit) if commit else None
    return dict(_flatten(yaml.safe_load(committed))) if committed else {}


def _flatten(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str | float | None]]:
    """Yields the parameters by their dotted keys; the attempts, a list, by their numbers from 1."""
    for key, value in content.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _flatten(value, f"{name}.")
        elif name == "unlearning.attempts":
            for number, attempt in enumerate(value, start=1):
                yield f"{name}.{number}", ", ".join(f"{part} {setting}" for part, setting in attempt.items())
        else:
            yield name, value


def read_data(root: Path, commit: str) -> dict[str, str]:
    """Returns the MD5 of each data file that `dvc.lock` names at a commit of this clone; none at an empty one."""
    digests = list_digests(read_lock_at(root, commit)) if commit else {}
    return {path: md5 for path, md5 in digests.items() if path.endswith((".parquet", ".safetensors"))}


def _list_digests(registered: ModelVersion) -> dict[str, str]:
    suffix = "_digest"
    return {
        name.removeprefix("amun.").removesuffix(suffix): value
        for name, value in sorted(registered.tags.items())
        if name.startswith("amun.") and name.endswith(suffix)
    }


def _list_files(registered: ModelVersion) -> Iterator[tuple[str, int]]:
    """Yields the files of the version's run and of its model, with their sizes in bytes."""
    client, run_id = registry.open_registry(), registered.run_id
    if run_id:
        yield from _walk(lambda folder: client.list_artifacts(run_id, folder))
    model = get_artifact_repository(client.get_model_version_download_uri(registered.name, registered.version))
    yield from _walk(model.list_artifacts)


def _walk(list_folder: Callable[[str | None], Iterable[FileInfo]]) -> Iterator[tuple[str, int]]:
    waiting: list[str | None] = [None]
    while waiting:
        for entry in list_folder(waiting.pop()):
            if entry.is_dir:
                waiting.append(entry.path)
            else:
                yield entry.path, int(entry.file_size or 0)
