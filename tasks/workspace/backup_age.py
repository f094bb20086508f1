"""Whether a backup is from before something that it must not undo: a wave, or an erasure.

What is asked is what has outlived the workspace: the branches and tags of the clone, with the chain of receipts, and
the ledger where that is left. A backup from before an erasure has lost its key-encryption key besides.
"""

from pathlib import Path

from amun.core.counts import tell_count
from amun.core.errors import InputError
from amun.core.paths import RECEIPT_CHAIN
from amun.ledger import Ledger
from tasks.tools.git import list_wave_tags, read_committed, run_git
from tasks.workspace.backup_archive import About
from tasks.workspace.history import find_recorded_wave, require_commit


def require_latest(root: Path, about: About) -> None:
    """Refuses a backup that is older than what git records, or newer.

    Raises:
        InputError: git has a wave or a receipt of erasure from after it, or lacks the commit that it was taken at.
    """
    last = max([find_recorded_wave(root) or 0, *(int(tag.rpartition("/")[2]) for tag in list_wave_tags(root))])
    if last > about.wave:
        raise InputError(f"git records wave {last}, and the backup is from after wave {about.wave}: take a later one")
    require_commit(root, about.commit, "the backup")
    # of all branches: an older one may be checked out
    refs = run_git(root, "for-each-ref", "--format=%(refname)", "refs/heads", "refs/remotes").split()
    num_issued = max(len((read_committed(root, RECEIPT_CHAIN, ref) or "").splitlines()) for ref in ["HEAD", *refs])
    if num_issued > about.num_receipts:
        receipts = tell_count(num_issued - about.num_receipts, "receipt")
        raise InputError(
            f"git has {receipts} of erasure from after the backup, which would bring people back: take a later one"
        )


def require_nobody_back(about: About, ledger: Ledger) -> None:
    """Refuses a backup from before an erasure that a ledger knows.

    Raises:
        InputError: somebody's keys were destroyed since.
    """
    if (num_erased := len(ledger.list_destroyed()) - about.num_destroyed) > 0:
        people = tell_count(num_erased, "person", "people")
        raise InputError(
            f"the ledger has {people} as erased from after the backup, which would bring them back: take a later one"
        )
