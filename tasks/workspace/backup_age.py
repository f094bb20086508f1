"""Whether a backup is from before something that it must not undo: a wave, or an erasure.

What is asked is what lies elsewhere: the branches and tags of the clone, with the chain of receipts, and a ledger that
outlived what the backup is of. A backup from before an erasure has its key-encryption key destroyed besides.
"""

from pathlib import Path

from amun.core.counts import tell_count
from amun.core.errors import InputError
from amun.core.paths import RECEIPT_CHAIN
from amun.ledger import Ledger
from amun.vault.vault import Vault
from tasks.tools.git import list_wave_tags, read_committed, run_git
from tasks.workspace.history import find_recorded_wave, require_commit


def require_latest(root: Path, model: str, ledger: Ledger) -> None:
    """Refuses a ledger that is older than the clone, or newer.

    Raises:
        InputError: git has a wave or a receipt of erasure that the ledger does not know, or lacks a wave's commit.
    """
    waves = ledger.list_waves(model)
    recorded = [int(tag.rpartition("/")[2]) for tag in list_wave_tags(root)]
    last = max([find_recorded_wave(root) or 0, *recorded])
    if not waves or last > waves[-1].number:
        known = f"wave {waves[-1].number}" if waves else "none"
        raise InputError(f"git records wave {last}, and the last one of the backup is {known}: take a later backup")
    for wave in reversed(waves):
        if wave.commit is not None:
            require_commit(root, wave.commit, f"wave {wave.number} of the backup")
            break
    num_issued = len(ledger.list_receipts(model))
    # of all branches: an older one may be checked out
    refs = run_git(root, "for-each-ref", "--format=%(refname)", "refs/heads", "refs/remotes").split()
    num_known = max(len((read_committed(root, RECEIPT_CHAIN, ref) or "").splitlines()) for ref in ["HEAD", *refs])
    if num_known > num_issued:
        receipts = tell_count(num_known - num_issued, "receipt")
        raise InputError(
            f"git has {receipts} of erasure that the backup does not know: it has keys of people who are erased since, "
            "and is not brought back; take a later backup"
        )


def require_nobody_back(ledger: Ledger, vault: Vault) -> None:
    """Refuses a key store that has keys of people whose keys are destroyed, as the ledger says.

    Raises:
        InputError: it has.
    """
    if back := vault.find_names(ledger.list_destroyed()):
        people = tell_count(len(back), "key")
        raise InputError(
            f"the backup has {people} of people who are erased since, and is not brought back: take a later backup"
        )
