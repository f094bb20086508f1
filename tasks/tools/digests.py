"""The digests by which DVC names contents."""

import hashlib
from functools import lru_cache
from pathlib import Path

from amun.core.errors import AmunError
from amun.core.files import NOT_GIVEN

UNREADABLE = "unreadable"  # the digest of no content


def compute_md5(path: Path) -> str | None:
    """Returns the MD5 of a file, None where there is none; while a file stays as it is, it is read once.

    A file that the disk does not give is `UNREADABLE`: a copy that is sound takes its place, as it does where bytes
    have changed.

    Raises:
        AmunError: it cannot be read for another reason, such as its permissions.
    """
    if not path.exists():
        return None
    stat = path.stat()
    try:
        return _read_md5(path, (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
    except OSError as error:
        if error.errno in NOT_GIVEN:
            return UNREADABLE
        raise AmunError(f"{path} cannot be read: {error.strerror}; see whose it is, and who may read it") from None


def forget_digests() -> None:
    """Lets every file be read again, as a new process would."""
    _read_md5.cache_clear()


@lru_cache(maxsize=256)
def _read_md5(path: Path, _state: tuple[int, ...]) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
