"""Files written whole: whoever reads one finds what was there before, or all that is new."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from amun.core.commands import tell_command
from amun.core.errors import InputError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # of an error of a write
NO_RIGHTS = (errno.EACCES, errno.EROFS)  # likewise, and of one of a read
NOT_GIVEN = (errno.EIO, errno.ESTALE, errno.ENXIO, errno.ENODEV)  # of a disk that fails, or a share that went away


def tell_os_error(error: OSError) -> str | None:
    """Returns in one line what the machine has refused, and what to do; None where it is no matter of the machine's."""
    remedies = {
        NO_ROOM: "make room",
        NO_RIGHTS: "see whose it is, and who may write there,",
        NOT_GIVEN: "see to the disk or the share that it lies on (`dmesg`)",
    }
    remedy = next((remedies[codes] for codes in remedies if error.errno in codes), None)
    where = f"{error.filename}: " if error.filename else ""
    return remedy and f"{where}{error.strerror}; {remedy} and type this again"


@contextmanager
def replace_file(path: Path, mode: int | None = None) -> Iterator[Path]:
    """Yields where to write; at the end of the block that file takes the name `path`, in one step.

    A block that fails leaves what was there, and nothing half-written.

    Args:
        path: of the file; folders above it are made.
        mode: its permissions, from its first byte on; None for what the umask gives.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)  # what a killed run left may be readable to others
    if mode is not None:
        unfinished.touch(mode=mode)
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def flush_to_disk(path: Path) -> None:
    """Brings a file, or the names in a folder, to where they outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_mode(variable: str, path: Path, most: int) -> None:
    """Refuses a file with a secret whose permissions are wider than these.

    Args:
        variable: names the file.
        path: of it.
        most: the widest permissions.

    Raises:
        InputError: says its permissions, and what to do.
        OSError: it cannot be looked at.
    """
    mode = path.stat().st_mode & 0o777
    if mode & ~most:
        raise InputError(f"{variable}: {path} has mode {mode:03o}; type {tell_command('chmod', f'{most:03o}', path)}")
