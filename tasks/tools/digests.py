"""The digests by which DVC names contents."""

import hashlib
from functools import lru_cache
from pathlib import Path


def compute_md5(path: Path) -> str | None:
    """Returns the MD5 of a file, None where there is none; while a file stays as it is, it is read once."""
    if not path.exists():
        return None
    stat = path.stat()
    return _read_md5(path, (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))


def forget_digests() -> None:
    """Lets every file be read again, as a new process would."""
    _read_md5.cache_clear()


@lru_cache(maxsize=256)
def _read_md5(path: Path, _state: tuple[int, ...]) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
