"""A new file that is not for everybody's eyes, as a command is asked for it: whole, its owner's alone, outside git."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from amun.core.errors import InputError
from amun.core.files import NO_ROOM, flush_to_disk, replace_file
from tasks.tools.git import is_kept


def require_free(option: str, path: Path, root: Path, holds: str = "names a person") -> None:
    """Refuses a place that is none for such a file.

    Args:
        option: of the command, which named it.
        path: the place.
        root: of the workspace.
        holds: what is in it, in words that follow "it".

    Raises:
        InputError: the file exists, its folder does not, or git would keep it.
    """
    if path.exists():
        raise InputError(f"{option} {path}: it exists already; remove it or name another file")
    if not path.parent.is_dir():
        raise InputError(f"{option} {path}: there is no folder {path.parent}; make it first")
    if is_kept(root, path):
        raise InputError(f"{option} {path}: it {holds} and git would keep it; name a file outside {root}")


@contextmanager
def write_private(option: str, path: Path) -> Iterator[Path]:
    """Yields where to write; at the end of the block the file has its name, readable by its owner alone, on the disk.

    Raises:
        InputError: it cannot be written.
    """
    place: Path | None = None
    try:
        with replace_file(path, mode=0o600) as unfinished:
            place = unfinished
            yield unfinished
            flush_to_disk(unfinished)
        flush_to_disk(path.parent)
    except OSError as error:
        # what the block reads is no matter of this file; of a write to an open one no error says which
        is_ours = place is None or error.filename == str(place)
        if not is_ours and not (error.filename is None and error.errno in NO_ROOM):
            raise
        raise InputError(f"{option} {path}: {error.strerror}") from None
