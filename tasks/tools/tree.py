"""All files below a folder, of whatever size and kind: to be read as they are."""

import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path


def list_tree(root: Path, without: Collection[Path], problems: list[str], *, is_shared: bool = False) -> Iterator[Path]:
    """Yields all regular files below a folder, or the file itself; no link is followed.

    Args:
        root: the folder.
        without: folders and files that are left out.
        problems: takes a line for each folder that cannot be listed.
        is_shared: others keep their own files here; of these, what they let nobody read is left out.
    """
    if root in without:
        return
    try:
        status = root.lstat()
        if stat.S_ISREG(status.st_mode) and not (is_shared and _is_closed(root, status)):
            yield root
        if not stat.S_ISDIR(status.st_mode) or (is_shared and _is_closed(root, status)):
            return
        paths = sorted(root.iterdir())
    except FileNotFoundError:
        return  # it was there a moment ago
    except OSError as error:
        problems.append(f"{root}: {error.strerror}")
        return
    for path in paths:
        yield from list_tree(path, without, problems, is_shared=is_shared)


def _is_closed(path: Path, status: os.stat_result) -> bool:
    """Tells whether something is another user's, and nobody else may read it."""
    needed = os.R_OK | (os.X_OK if stat.S_ISDIR(status.st_mode) else 0)
    return status.st_uid != os.geteuid() and not os.access(path, needed)
