"""Locks between processes: the kernel gives them back when their holder ends, however it ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def hold_lock(path: Path, mode: int = 0o600, *, waits: bool = True, is_told: bool = True) -> Iterator[None]:
    """Holds an exclusive lock on a file, which is made where there is none, and waits for whoever has it.

    Args:
        path: of the file.
        mode: its permissions if it is made, whatever the umask.
        waits: False raises instead of waiting.
        is_told: whether somebody is told that they wait; not worth a line where it takes milliseconds.

    Raises:
        BlockingIOError: somebody has it.

    Note:
        `filelock` 4.2.12 refuses a file in /tmp that another user has made; an accelerator's lock is everybody's.
    """
    descriptor = _open(path, mode)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not waits:
                raise
            if is_told:
                print(f"  waiting for another process to release {path}", flush=True)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Tells whether somebody holds the lock on a file; none is made.

    Raises:
        FileNotFoundError: there is none.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        # shared: two who ask at once do not take each other for a holder
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def _open(path: Path, mode: int) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return os.open(path, os.O_RDWR)
    except FileNotFoundError:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, mode)
        path.chmod(mode)
        return descriptor
