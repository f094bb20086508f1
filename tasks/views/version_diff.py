"""What changed from one version of the model to another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from amun.core.errors import InputError
from amun.core.paths import PARAMS
from amun.evidence.wave import ForgottenWave
from tasks.tools import registry
from tasks.tools.git import list_commits
from tasks.views.lineage import Version, list_versions
from tasks.views.version_details import find_run, find_version, read_data, read_parameters
from tasks.workspace.history import read_forgotten_at, require_commit
from tasks.workspace.workspace import PACKAGES, Workspace

Value = TypeVar("Value")
Changes = dict[str, tuple[Value | None, Value | None]]  # what was, and what is, by name; None where there is none
CODE = (*PACKAGES, str(PARAMS), "constraints.txt")


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
    metrics: Changes[float]
    parameters: Changes[str | float | None]
    data: Changes[str]
    commit_range: str
    commits: list[str]


def compare_versions(workspace: Workspace, before: int, after: int) -> Difference:
    """Returns what changed from one version to another.

    Raises:
        InputError: there is no such version, no wave registered it, or its commit is not in this clone.
    """
    root, versions = workspace.root, list_versions(workspace)
    one, other = (_find_recorded(root, versions, number, workspace.model) for number in (before, after))
    start, end = str(one.commit), str(other.commit)
    gone_before, gone_after = (read_forgotten_at(root, commit) or [] for commit in (start, end))
    with registry.translate_errors():
        client = registry.open_registry()
        runs = [find_run(client.get_model_version(workspace.model, str(number))) for number in (before, after)]
    metrics_before, metrics_after = ({} if run is None else run.data.metrics for run in runs)
    return Difference(
        before=one,
        after=other,
        forgotten=_count_new(gone_after, gone_before),
        recalled=_count_new(gone_before, gone_after),
        metrics=_find_changes(metrics_before, metrics_after),
        parameters=_find_changes(read_parameters(root, start), read_parameters(root, end)),
        data=_find_changes(read_data(root, start), read_data(root, end)),
        commit_range=f"{start[:12]}..{end[:12]}",
        commits=list_commits(root, start, end, CODE),
    )


def _find_recorded(root: Path, versions: Sequence[Version], number: int, model: str) -> Version:
    version = find_version(versions, number, model)
    if version.commit is None:
        raise InputError(f"version {number} of {model} was registered by no wave: nothing is known of how it was made")
    require_commit(root, version.commit, f"version {number}")
    return version


def _count_new(waves: Sequence[ForgottenWave], known: Sequence[ForgottenWave]) -> list[WaveCounts]:
    """Returns the waves that are not known, those that forgot nobody left out."""
    numbers = {wave.number for wave in known}
    return [
        WaveCounts(wave.number, len(wave.subject_keys), len(wave.forget_ids), len(wave.held_out_ids))
        for wave in waves
        if wave.number not in numbers and wave.subject_keys
    ]


def _find_changes(before: Mapping[str, Value], after: Mapping[str, Value]) -> Changes[Value]:
    """Returns the names whose value differs, in their order, with both values."""
    return {
        name: (before.get(name), after.get(name))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    }
