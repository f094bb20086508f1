"""Step *record*: commit what the wave wrote, tag it, send the data where a remote is configured."""

import json
from pathlib import Path
from typing import Any

from prefect import task

from amun.ledger import Claim
from amun.paths import FORGOTTEN, WAVE
from amun.wave import read_wave, write_json
from tasks import pipeline
from tasks.git import commit_paths, name_tag, read_committed, restore_paths, run_git, tag_commit
from tasks.options import NETWORK_OPTIONS, TASK_OPTIONS
from tasks.wave_paths import list_wave_paths
from tasks.workspace import Workspace, require_lease


def find_recorded_commit(root: Path, number: int) -> str | None:
    """Returns the commit that records a wave, if the branch has it: a killed run may have got so far."""
    committed = read_committed(root, WAVE)
    if committed is None or json.loads(committed)["number"] != number:
        return None
    return run_git(root, "log", "-1", "--format=%H", "--", str(WAVE))


@task(name="record", **TASK_OPTIONS)
def record_wave(workspace: Workspace, claim: Claim) -> str:
    """Commits and tags the wave once every file is what `dvc.lock` says; returns the commit."""
    root = workspace.root
    pipeline.check_digests(root)
    wave = read_wave(root)
    write_json(root / FORGOTTEN, [*wave.forgotten, wave.forgetting])
    require_lease(claim)
    message = f"{claim.model}: wave {claim.number} forgets {len(wave.forget_ids)} training samples"
    return commit_paths(root, list_wave_paths(root, claim.kind), message)


@task(name="tag", **TASK_OPTIONS)
def tag_wave(workspace: Workspace, claim: Claim, commit: str) -> str:
    """Sets the wave's tag on its commit and returns its name."""
    require_lease(claim)
    tag = name_tag(claim.number)
    tag_commit(workspace.root, tag, commit, f"{claim.model}: wave {claim.number}")
    return tag


@task(name="push-data", **NETWORK_OPTIONS)
def push_data(workspace: Workspace, claim: Claim) -> bool:
    """Sends the wave's data to the default DVC remote; returns whether there is one."""
    require_lease(claim)
    if not pipeline.has_remote(workspace.root):
        return False
    pipeline.push(workspace.root)
    return True


@task(name="restore", **TASK_OPTIONS)
def restore_files(workspace: Workspace, claim: Claim) -> None:
    """Brings the work tree back to HEAD, for a wave that is given up."""
    require_lease(claim)
    restore_paths(workspace.root, list_wave_paths(workspace.root, claim.kind))
    pipeline.checkout(workspace.root)


def read_metrics(root: Path, path: Path) -> dict[str, Any]:
    """Returns a stage's figures."""
    figures: dict[str, Any] = json.loads((root / path).read_text(encoding="utf-8"))
    return figures
