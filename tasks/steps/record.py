"""Steps *record*, *tag* and *push*: what the wave wrote, committed; its data, where a remote is configured."""

import json
from contextlib import suppress

from prefect import task

from amun.core.counts import tell_count
from amun.core.errors import AmunError, InputError
from amun.core.keys import load_secret, subject_key
from amun.core.paths import FORGOTTEN, WAVE
from amun.evidence.wave import read_wave, write_json
from amun.ledger import Claim
from tasks.tools import dvc
from tasks.tools.git import commit_paths, name_tag, pack_objects, read_committed, restore_paths, tag_commit
from tasks.tools.options import NETWORK_OPTIONS, TASK_OPTIONS
from tasks.tools.sound import make_sound, require_sent
from tasks.tools.story import tell
from tasks.workspace import upstream
from tasks.workspace.recorded import find_record_of, sign
from tasks.workspace.strays import find_strays, remove_strays
from tasks.workspace.wave_paths import list_wave_paths
from tasks.workspace.workspace import Workspace, open_ledger, require_lease


def find_recorded_commit(workspace: Workspace, claim: Claim) -> str | None:
    """Returns the commit that records the wave, if the branch has it: a killed run may have got so far.

    The work tree is then brought to that commit's files, whatever was done to it since.

    Raises:
        InputError: the branch has recorded a wave of this number for other people or at another time, as when the
            ledger was restored from a backup.
        AmunError: its data are not what it says.
    """
    root = workspace.root
    commit = find_record_of(root, claim.number)
    if commit is None:
        return None
    with open_ledger() as ledger:
        subjects = ledger.subjects_of_wave(claim.model, claim.number)
    secret = load_secret(root)
    keys = sorted(subject_key(secret, subject) for subject in subjects)
    recorded = json.loads(str(read_committed(root, WAVE, commit)))
    if not claim.resumed or recorded["forgetting"]["subject_keys"] != keys:
        raise InputError(
            f"{root}: the branch has recorded another wave {claim.number} than the ledger has now; "
            "was the ledger restored from a backup?"
        )
    restore_paths(root, list_wave_paths(root, claim.kind))
    dvc.fetch(root)
    for line in make_sound(root):
        tell(f"  {line}")
    # before anything of it is tagged or pushed
    dvc.check_digests(root)
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
    return commit_paths(root, list_wave_paths(root, claim.kind), sign(root, message, claim.number))


@task(name="tag", **TASK_OPTIONS)
def tag_wave(workspace: Workspace, claim: Claim, commit: str) -> str:
    """Sets the wave's tag on its commit and returns its name."""
    require_lease(claim)
    tag = name_tag(claim.number)
    tag_commit(workspace.root, tag, commit, f"{claim.model}: wave {claim.number}")
    # a matter of space: the wave is recorded, and the next one tries again
    with suppress(AmunError):
        pack_objects(workspace.root)
    return tag


@task(name="push-data", **NETWORK_OPTIONS)
def push_data(workspace: Workspace, claim: Claim) -> bool:
    """Sends the wave's data to the default DVC remote; returns whether there is one.

    Raises:
        AmunError: it does not take them, or lacks some all the same: DVC's word alone is not taken for it.
    """
    root = workspace.root
    require_lease(claim)
    if not dvc.has_remote(root):
        return False
    for line in make_sound(root, in_cache=True):
        tell(f"  {line}")
    dvc.push(root)
    require_sent(root)
    return True


@task(name="follow", **NETWORK_OPTIONS)
def follow_upstream(workspace: Workspace, claim: Claim) -> None:
    """Brings branch and data to where the git remote has them, if there is one, before a wave builds on them.

    Files of a wave that somebody has committed, here or there, and that no commit records, are out of the way then.
    """
    _mend_branch(workspace, claim)
    upstream.follow(workspace, list_wave_paths(workspace.root, claim.kind))
    _mend_branch(workspace, claim)


def _mend_branch(workspace: Workspace, claim: Claim) -> None:
    require_lease(claim)
    with open_ledger() as ledger:
        strays = find_strays(workspace.root, claim.model, ledger)
    if strays:
        tell(f"  {strays.describe()}: mended")
        remove_strays(workspace.root, strays)


@task(name="push-lineage", **NETWORK_OPTIONS)
def push_lineage(workspace: Workspace, claim: Claim, tag: str | None = None) -> bool:
    """Sends the branch, and the wave's tag, to the git remote; returns whether there is one."""
    require_lease(claim)
    return upstream.push(workspace.root, tag)


@task(name="restore", **TASK_OPTIONS)
def restore_files(workspace: Workspace, claim: Claim) -> None:
    """Brings the work tree back to HEAD, for a wave that is given up."""
    _restore(workspace, claim)


def clear_away(workspace: Workspace, claim: Claim) -> None:
    """Brings the work tree back to HEAD after a failure, so that nobody commits the wave's files with their own.

    What the stages have computed stays in DVC's cache, and is not computed again. The first wave keeps its files: the
    branch has nothing to go back to. An error here is not shown, for the failure before it is.
    """
    if claim.number:
        with suppress(AmunError, OSError):
            _restore(workspace, claim)


def _restore(workspace: Workspace, claim: Claim) -> None:
    require_lease(claim)
    restore_paths(workspace.root, list_wave_paths(workspace.root, claim.kind))
    dvc.checkout(workspace.root)
