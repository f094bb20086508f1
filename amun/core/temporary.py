"""Temporary files of this software, in folders of its own: what a killed program leaves is found and removed."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from amun.core.held_folders import hold_folder, is_abandoned, remove_folder

PREFIX = "amun-temporary-"


@contextmanager
def open_temporary() -> Iterator[Path]:
    """Gives a folder for temporary files, which is gone afterwards."""
    with hold_folder(Path(tempfile.gettempdir()), PREFIX) as folder:
        yield folder


@contextmanager
def catch_temporary() -> Iterator[Path]:
    """Gives the same, and until it is gone all temporary files of this process lie in it, whoever makes them."""
    before = tempfile.tempdir
    with open_temporary() as folder:
        tempfile.tempdir = str(folder)
        try:
            yield folder
        finally:
            tempfile.tempdir = before


def remove_abandoned() -> None:
    """Removes what killed programs of this user have left, whatever workspace they were of."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(FileNotFoundError):  # another one removes it, too
            if folder.lstat().st_uid == os.geteuid() and not folder.is_symlink() and is_abandoned(folder):
                remove_folder(folder)
