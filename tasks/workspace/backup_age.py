"""Whether a backup is from before something that it must not undo, a wave or an erasure, or opens no more.

What is asked is what has outlived the workspace: the branches and tags of the clone, with the chain of receipts, and
the ledger where that is left. A backup from before an erasure has lost its key-encryption key besides.
"""

from contextlib import suppress
from pathlib import Path

from pydantic import Field

from amun.core.counts import tell_count
from amun.core.errors import InputError
from amun.core.paths import BACKUP, RECEIPT_CHAIN
from amun.evidence.wave import Record, parse_record, write_json
from amun.ledger import Ledger
from amun.vault.kek import fingerprint_kek, read_kek
from amun.vault.vault import open_vault
from tasks.tools.git import list_wave_tags, read_committed, run_git
from tasks.workspace.backup_archive import About
from tasks.workspace.history import find_recorded_wave, require_commit


class Taken(Record):
    """The last backup that this workspace took.

    Attributes:
        kek: fingerprint of the key-encryption key under which it is sealed.
        taken_at: when, as people read it.
        copy_at: where the last copy of such a key was put; None where none was.
    """

    kek: str
    taken_at: str
    copy_at: str | None = Field(alias="copy")


def require_latest(root: Path, about: About) -> None:
    """Refuses a backup that is older than what git records, or newer.

    Raises:
        InputError: git has a wave or a receipt of erasure from after it, or lacks the commit that it was taken at.
    """
    numbers = [tag.rpartition("/")[2] for tag in list_wave_tags(root)]
    # a person may have tags of the kind, too
    last = max([find_recorded_wave(root) or 0, *(int(number) for number in numbers if number.isdecimal())])
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
    if (num_erased := ledger.count_destroyed() - about.num_destroyed) > 0:
        erasures = tell_count(num_erased, "erasure")
        raise InputError(
            f"the ledger has {erasures} from after the backup, which would bring people back: take a later one"
        )


def note_taken(root: Path, kek: bytes, taken_at: str, copy: Path | None) -> None:
    """Notes the last backup, and where the last copy of its key-encryption key (KEK) lies."""
    last = _read_taken(root)
    known = last.copy_at if last is not None and copy is None else copy
    write_json(root / BACKUP, {"kek": fingerprint_kek(kek), "taken_at": taken_at, "copy": known and str(known)})


def tell_outdated(root: Path) -> str:
    """Returns why the last backup is of no use any more, or still opens for whoever has an old copy of its key.

    Empty where neither is so, or none was taken.

    Raises:
        InputError, AmunError: the key store is not at hand.
    """
    if (last := _read_taken(root)) is None:
        return ""
    now, copy = open_vault(root).store.read_own()[0], last.copy_at
    is_old = _find_fingerprint(copy) not in (None, now)
    if last.kek != now:
        opens = f"{copy} is still the old one, and opens it" if is_old else "that opens no more"
        return f"the key-encryption key was changed since the backup of {last.taken_at}: {opens}"
    return f"{copy} is the copy of an earlier key-encryption key, and opens the backups from before" if is_old else ""


def _read_taken(root: Path) -> Taken | None:
    path = root / BACKUP
    return parse_record(Taken, path.read_text(encoding="utf-8"), str(path)) if path.exists() else None


def _find_fingerprint(copy: str | None) -> str | None:
    """Returns which KEK a copy is; None where it is not at hand."""
    with suppress(InputError):
        return None if copy is None else fingerprint_kek(read_kek(Path(copy)))
    return None
