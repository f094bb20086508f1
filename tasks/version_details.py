"""One version of the model in full, and what lies between two: from the registry, the ledger, and git at its commit."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from mlflow.entities import FileInfo, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from amun.errors import InputError
from amun.ledger import Wave
from amun.paths import DECISIONS, PARAMS
from amun.wave import ForgottenWave
from tasks import registry
from tasks.git import has_commit, list_commits, name_tag, read_committed
from tasks.lineage import Version, list_versions, read_forgotten_at
from tasks.pipeline import LOCK_FILE
from tasks.workspace import PACKAGES, Workspace, open_ledger

CODE = (*PACKAGES, str(PARAMS), "constraints.txt")
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
    origin: dict[str, Any]
    decisions: list[dict[str, Any]]
    metrics: dict[str, float]
    parameters: dict[str, Any]
    data: dict[str, str]
    digests: dict[str, str]
    files: dict[str, int]


@dataclass(frozen=True)
class WaveCounts:
    """How much a wave forgot."""

    number: int
    num_subjects: int
    num_forget: int
    num_held_out: int


@dataclass(frozen=True)
class Difference:
    """What changed from one version to another.

    Attributes:
        before: the one version.
        after: the other.
        forgotten: waves whose people only the other has forgotten.
        recalled: waves whose people only the one has forgotten, as after a rollback.
        metrics: figures that differ, by name: here and there.
        parameters: keys of `params.yaml` that differ.
        data: files of `dvc.lock` whose MD5 differs.
        commit_range: the two commits, as git takes them.
        commits: those in the range that changed code or parameters, newest first.
    """

    before: Version
    after: Version
    forgotten: list[WaveCounts]
    recalled: list[WaveCounts]
    metrics: dict[str, tuple[Any, Any]]
    parameters: dict[str, tuple[Any, Any]]
    data: dict[str, tuple[Any, Any]]
    commit_range: str
    commits: list[str]


def describe_version(workspace: Workspace, number: int) -> Details:
    """Returns one version in full.

    Raises:
        InputError: there is no such version.
    """
    root, version = workspace.root, _find_version(list_versions(workspace), number, workspace.model)
    with registry.translate_errors():
        registered = registry.open_registry().get_model_version(workspace.model, str(number))
        run = _find_run(registered)
        files = dict(_list_files(registered))
    wave = _find_wave(workspace, version)
    commit = version.commit or ""
    return Details(
        model=workspace.model,
        version=version,
        origin=_describe_origin(root, version, registered, wave),
        decisions=json.loads(read_committed(root, DECISIONS, commit) or "[]") if commit else [],
        metrics={} if run is None else dict(sorted(run.data.metrics.items())),
        parameters=_choose_parameters(root, version),
        data=_read_data(root, commit),
        digests=_list_digests(registered),
        files=files,
    )


def compare_versions(workspace: Workspace, before: int, after: int) -> Difference:
    """Returns what changed from one version to another.

    Raises:
        InputError: there is no such version, no wave registered it, or its commit is not in this clone.
    """
    root, versions = workspace.root, list_versions(workspace)
    one, other = (_find_recorded(root, versions, number, workspace.model) for number in (before, after))
    start, end = str(one.commit), str(other.commit)
    gone_before, gone_after = (read_forgotten_at(root, commit) for commit in (start, end))
    with registry.translate_errors():
        client = registry.open_registry()
        runs = [_find_run(client.get_model_version(workspace.model, str(number))) for number in (before, after)]
    metrics_before, metrics_after = ({} if run is None else run.data.metrics for run in runs)
    return Difference(
        before=one,
        after=other,
        forgotten=_count_new(gone_after, gone_before),
        recalled=_count_new(gone_before, gone_after),
        metrics=_find_changes(metrics_before, metrics_after),
        parameters=_find_changes(_read_parameters(root, start), _read_parameters(root, end)),
        data=_find_changes(_read_data(root, start), _read_data(root, end)),
        commit_range=f"{start[:12]}..{end[:12]}",
        commits=list_commits(root, start, end, CODE),
    )


def _find_version(versions: Sequence[Version], number: int, model: str) -> Version:
    found = [version for version in versions if version.number == number]
    if not found:
        raise InputError(f"{model} has no version {number} in MLflow; `amun model list` shows them")
    return found[0]


def _find_recorded(root: Path, versions: Sequence[Version], number: int, model: str) -> Version:
    version = _find_version(versions, number, model)
    if version.commit is None:
        raise InputError(f"version {number} of {model} was registered by no wave: nothing is known of how it was made")
    if not has_commit(root, version.commit):
        raise InputError(f"version {number}: its commit {version.commit[:12]} is not in {root}; `git pull` brings it")
    return version


def _find_run(registered: ModelVersion) -> Run | None:
    return registry.open_registry().get_run(registered.run_id) if registered.run_id else None


def _find_wave(workspace: Workspace, version: Version) -> Wave | None:
    if version.wave is None or version.wave_state is None:
        return None
    with open_ledger() as ledger:
        return ledger.get_wave(workspace.model, version.wave)


def _describe_origin(root: Path, version: Version, registered: ModelVersion, wave: Wave | None) -> dict[str, Any]:
    commit = version.commit
    is_here = commit is not None and has_commit(root, commit)
    return {
        "registered": f"{version.registered_at:%Y-%m-%d %H:%M:%S} UTC",
        "description": registered.description or None,
        "from version": version.parent,
        "wave": version.wave,
        "kind": version.kind,
        "method": version.method,
        "attempt": version.attempt,
        "training samples forgotten": version.num_forget,
        "subjects forgotten so far": version.num_subjects,
        "opened": None if wave is None else f"{wave.opened_at:%Y-%m-%d %H:%M:%S} UTC",
        "run by": None if wave is None else wave.holder.partition(":")[0],
        "tag": None if version.wave is None else name_tag(version.wave),
        "commit": commit if commit is None or is_here else f"{commit} (not in this clone; `git pull` brings it)",
        "warning": registered.tags.get("amun.warning") or None,
    }


def _choose_parameters(root: Path, version: Version) -> dict[str, Any]:
    """Returns the parameters that made a version: of its attempts, the one that passed."""
    sections = BASE_SECTIONS if version.kind == "base" else WAVE_SECTIONS
    attempts = "unlearning.attempts."
    return {
        name: value
        for name, value in _read_parameters(root, version.commit or "").items()
        if name.partition(".")[0] in sections
        and (not name.startswith(attempts) or name == f"{attempts}{version.attempt}")
    }


def _read_parameters(root: Path, commit: str) -> dict[str, Any]:
    committed = read_committed(root, PARAMS, commit) if commit else None
    return dict(_flatten(yaml.safe_load(committed))) if committed else {}


def _flatten(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
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


def _read_data(root: Path, commit: str) -> dict[str, str]:
    committed = read_committed(root, Path(LOCK_FILE), commit) if commit else None
    stages = yaml.safe_load(committed)["stages"] if committed else {}
    return {
        out["path"]: out["md5"]
        for stage in stages.values()
        for out in stage.get("outs", [])
        if out["path"].endswith((".parquet", ".safetensors"))
    }


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


def _count_new(waves: Sequence[ForgottenWave], known: Sequence[ForgottenWave]) -> list[WaveCounts]:
    """Returns the waves that are not known, those that forgot nobody left out."""
    numbers = {wave.number for wave in known}
    return [
        WaveCounts(wave.number, len(wave.subject_keys), len(wave.forget_ids), len(wave.held_out_ids))
        for wave in waves
        if wave.number not in numbers and wave.subject_keys
    ]


def _find_changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Returns the names whose value differs, in their order, with both values."""
    return {
        name: (before.get(name), after.get(name))
        for name in sorted(before | after)
        if before.get(name) != after.get(name)
    }
