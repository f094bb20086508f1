"""Folders that live as long as whoever has made them: what a killed one leaves is told from what is in use."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from amun.core.locks import hold_lock

# in each folder: held as long as its process lives, in whatever container that is, and let go by the kernel
_LOCK = "lock"


@contextmanager
def hold_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Gives a new folder, readable by its owner alone, that is gone afterwards.

    Args:
        parent: in which it is made.
        prefix: with which its name begins.
    """
    folder = Path(mkdtemp(dir=parent, prefix=prefix))
    unheld = folder / "unheld"
    with hold_lock(unheld):
        try:
            unheld.rename(folder / _LOCK)  # nobody ever sees it free while this process lives
            yield folder
        finally:
            shutil.rmtree(folder)


def is_abandoned(folder: Path) -> bool | None:
    """Tells whether whoever has made a folder has ended; None where it has no lock, as while it is being made."""
    if not (folder / _LOCK).exists():
        return None
    try:
        with hold_lock(folder / _LOCK, waits=False):
            return True
    except BlockingIOError:
        return False
