"""Steps *record*, *tag* and *push*: what the wave wrote, committed; its data, where a remote is configured."""

import json

from prefect import task

from amun.core.counts import tell_count
from amun.core.errors import InputError
from amun.core.keys import load_secret, subject_key
from amun.core.paths import FORGOTTEN, WAVE
from amun.evidence.wave import read_wave, write_json
from amun.ledger import Claim
from tasks.tools import dvc
from tasks.tools.git import commit_paths, has_changed, name_tag, read_committed, restore_paths, run_git, tag_commit
from tasks.tools.options import NETWORK_OPTIONS, TASK_OPTIONS
from tasks.workspace import upstream
from tasks.workspace.wave_paths import list_wave_paths
from tasks.workspace.workspace import Workspace, open_ledger, require_lease


def find_recorded_commit(workspace: Workspace, claim: Claim) -> str | None:
    """Returns the commit that records the wave, if the branch has it: a killed run may have got so far.

    The work tree is then brought to that commit's files, whatever was done to it since.

    Raises:
        InputError: the branch has recorded a wave of this number for other people or at another time, as when the
            ledger was restored from a backup; or the wave's files have been changed since.
    """
    root = workspace.root
    committed = read_committed(root, WAVE)
    if committed is None or json.loads(committed)["number"] != claim.number:
        return None
    with open_ledger() as ledger:
        subjects = ledger.subjects_of_wave(claim.model, claim.number)
    secret = load_secret(root)
    keys = sorted(subject_key(secret, subject) for subject in subjects)
    if not claim.resumed or json.loads(committed)["forgetting"]["subject_keys"] != keys:
        raise InputError(
            f"{root}: the branch has recorded another wave {claim.number} than the ledger has now; "
            "was the ledger restored from a backup?"
        )
    commit = run_git(root, "log", "-1", "--format=%H", "--", str(WAVE))
    paths = list_wave_paths(root, claim.kind)
    if has_changed(root, commit, paths):
        raise InputError(
            f"{root}: files of wave {claim.number} were changed after its commit {commit[:12]}; revert that"
        )
    restore_paths(root, paths)
    dvc.fetch(root)
    return commit


@task(name="record", **TASK_OPTIONS)
def record_wave(workspace: Workspace, claim: Claim) -> str:
    """Commits the wave once every file is what `dvc.lock` says; returns the commit."""
    root = workspace.root
    dvc.check_digests(root)
    wave = read_wave(root)
    write_json(root / FORGOTTEN, [*wave.forgotten, wave.forgetting])
    require_lease(claim)
    message = f"{claim.model}: wave {claim.number} forgets {tell_count(len(wave.forget_ids), 'training sample')}"
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
    if not dvc.has_remote(workspace.root):
        return False
    dvc.push(workspace.root)
    return True


@task(name="follow", **NETWORK_OPTIONS)
def follow_upstream(workspace: Workspace, claim: Claim) -> None:
    """Brings branch and data to where the git remote has them, if there is one, before a wave builds on them."""
    require_lease(claim)
    upstream.follow(workspace, list_wave_paths(workspace.root, claim.kind))


@task(name="push-lineage", **NETWORK_OPTIONS)
def push_lineage(workspace: Workspace, claim: Claim, tag: str | None = None) -> bool:
    """Sends the branch, and the wave's tag, to the git remote; returns whether there is one."""
    require_lease(claim)
    return upstream.push(workspace.root, tag)


@task(name="restore", **TASK_OPTIONS)
def restore_files(workspace: Workspace, claim: Claim) -> None:
    """Brings the work tree back to HEAD, for a wave that is given up."""
    require_lease(claim)
    restore_paths(workspace.root, list_wave_paths(workspace.root, claim.kind))
    dvc.checkout(workspace.root)
