"""Going back: the champion, the branch and the ledger return to an earlier version, and the wave after it forgets anew.

The intent stands in the ledger first, written in the transaction that opens the wave which carries it out. Each step
after that can be killed and made again: whoever resumes the wave finds the rollback unfinished.
"""

from datetime import UTC, datetime

from prefect import task

from amun.ledger import Claim, Rollback
from tasks.tools import dvc, registry
from tasks.tools.git import commit_paths, list_changed, restore_from, restore_paths
from tasks.tools.options import NETWORK_OPTIONS, TASK_OPTIONS
from tasks.tools.registered import get_registered
from tasks.workspace.holdings import read_holdings
from tasks.workspace.recorded import sign
from tasks.workspace.wave_paths import list_restored_paths, list_wave_paths
from tasks.workspace.workspace import Workspace, open_ledger, require_lease


def find_rollback(workspace: Workspace) -> Rollback | None:
    """Returns the model's unfinished rollback, if any."""
    with open_ledger() as ledger:
        return ledger.find_rollback(workspace.model)


@task(name="promote-back", **NETWORK_OPTIONS)
def promote_back(workspace: Workspace, claim: Claim, rollback: Rollback) -> None:
    """Makes the earlier version the champion; tags each undone one with the time and the reason."""
    with registry.translate_errors():
        target = get_registered(workspace.model, int(rollback.to_version))
        require_lease(claim)
        registry.promote(workspace.model, target.version)
        mark = f"{rollback.started_at:%Y-%m-%d %H:%M} UTC, back to version {target.version}: {rollback.reason}"
        registry.mark_undone(workspace.model, _list_undone_versions(workspace, rollback), mark)


@task(name="restore-line", **NETWORK_OPTIONS)
def restore_line(workspace: Workspace, claim: Claim, rollback: Rollback) -> str:
    """Commits the wave's files as the earlier version recorded them, and checks out its data; returns the commit.

    The branch moves forward only; all that reads HEAD then sees that version's line.
    """
    root = workspace.root
    target = get_registered(workspace.model, int(rollback.to_version))
    paths = list_restored_paths(root)
    restore_paths(root, list_wave_paths(root, claim.kind))
    require_lease(claim)
    if list_changed(root, target.commit, paths):
        restore_from(root, target.commit, paths)
    message = f"{workspace.model}: roll back from version {rollback.from_version} to version {rollback.to_version}"
    commit = commit_paths(root, paths, sign(root, message, target.wave, restored=True))
    dvc.fetch(root)
    return commit


@task(name="reopen", **TASK_OPTIONS)
def reopen_requests(workspace: Workspace, claim: Claim) -> int:
    """Opens the requests of the undone waves again, in the wave at hand; returns how many."""
    with open_ledger() as ledger:
        return ledger.finish_rollback(claim, read_holdings(workspace.root), datetime.now(UTC))


def has_requests(claim: Claim) -> bool:
    """Tells whether the wave has anybody to forget: one that was opened for a rollback may have nobody."""
    with open_ledger() as ledger:
        return bool(ledger.subjects_of_wave(claim.model, claim.number))


def _list_undone_versions(workspace: Workspace, rollback: Rollback) -> list[int]:
    with open_ledger() as ledger:
        waves = [ledger.get_wave(workspace.model, number) for number in rollback.undone_waves]
    return [int(str(wave.version)) for wave in waves]
