"""Folders that live as long as whoever has made them: what a killed one leaves is told from what is in use."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

from amun.core.locks import hold_lock, is_held

# in each folder: held as long as its process lives, in whatever container that is, and let go by the kernel
_LOCK = "lock"
_UNHELD = "unheld"  # the same, while it is being made


@contextmanager
def hold_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Gives a new folder, readable by its owner alone, that is gone afterwards.

    Args:
        parent: in which it is made.
        prefix: with which its name begins.
    """
    folder = Path(mkdtemp(dir=parent, prefix=prefix))
    unheld = folder / _UNHELD
    with hold_lock(unheld):
        try:
            unheld.rename(folder / _LOCK)  # nobody ever sees it free while this process lives
            yield folder
        finally:
            remove_folder(folder)


def is_abandoned(folder: Path) -> bool | None:
    """Tells whether whoever has made a folder has ended; None where it is being made, or goes at this moment."""
    names = set[str]()
    with suppress(FileNotFoundError):
        # before its lock is looked at: as long as it has anything else it has that
        names = {path.name for path in folder.iterdir()}
        return not is_held(folder / _LOCK)
    # an earlier release knew no lock, or has removed it before the rest
    return True if names - {_LOCK, _UNHELD} == names != set() else None


def remove_folder(folder: Path, *, ignore_errors: bool = False) -> None:
    """Removes a folder, its lock last: what a killed call leaves of it is found again.

    Args:
        folder: to be removed.
        ignore_errors: removes what can be removed, and says nothing of the rest.
    """
    for path in [*folder.iterdir()]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=ignore_errors)
        elif path.name != _LOCK:
            path.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=ignore_errors)
