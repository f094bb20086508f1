"""Whose the files of a workspace are: what somebody has left there as another user stops the owner's nights."""

import os
import pwd
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from amun.core.commands import tell_command
from amun.core.counts import tell_count
from amun.core.paths import SECRET, STATE
from tasks.tools.content_places import CACHE, ContentFolder, list_content_places
from tasks.tools.git_objects import find_repository
from tasks.workspace.fault import Fault
from tasks.workspace.workspace import Workspace

_OTHERS = 0o077  # the rights of whoever is not the owner
_DEPTH = 3  # so deep git's and DVC's objects lie; nobody looks below them


def find_wrong_permissions(workspace: Workspace) -> Iterator[Fault]:
    """Yields what is another user's, where nobody may write, and a secret that others may read.

    Nothing is yielded of a workspace in which nobody here may write: that is no fault of its own, and said once.
    """
    root = workspace.root
    if not os.access(root, os.W_OK):
        return
    owner = root.stat().st_uid
    places = [place for place in list_content_places(root)[0] if isinstance(place, ContentFolder)]
    cache = next(place.path for place in places if place.name == CACHE)
    for folder in (root, root / STATE, find_repository(root), root / ".dvc", cache):
        if folder.is_dir():
            yield from _judge_folder(folder, owner, is_whole=folder != root)
    secret = root / SECRET
    if secret.exists() and secret.stat().st_mode & _OTHERS:
        mode = secret.stat().st_mode & 0o777
        yield Fault(
            f"{secret} has mode {mode:o}: others may read the key of all ids",
            "give it to its owner alone (chmod 600); who has read it keeps it",
            lambda: secret.chmod(0o600),
        )


def _judge_folder(folder: Path, owner: int, *, is_whole: bool) -> Iterator[Fault]:
    if not os.access(folder, os.W_OK):
        yield Fault(f"{folder} cannot be written to", "mount it for writing, or let the workspace's owner write there")
        return
    foreign = [found for found in _walk(folder, _DEPTH if is_whole else 1) if found[1] != owner]
    if foreign:
        path, user = foreign[0]
        found = tell_count(len(foreign), "file or folder", "files and folders")
        belong = "belongs" if len(foreign) == 1 else "belong"
        command = tell_command("chown", "--recursive", "--no-dereference", str(owner), str(folder))
        yield Fault(
            f"{found} in {folder} {belong} to {_name_user(user)}, not to {_name_user(owner)}; the first one is {path}",
            f"type {command} as root, and every command as {_name_user(owner)} from now on",
        )


def _walk(folder: Path, depth: int) -> Iterator[tuple[Path, int]]:
    """Yields what is in a folder, and in those in it, so many deep, with its owner; what goes meanwhile is left out."""
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                yield Path(entry.path), entry.stat(follow_symlinks=False).st_uid
                if depth > 1 and entry.is_dir(follow_symlinks=False) and os.access(entry.path, os.R_OK | os.X_OK):
                    yield from _walk(Path(entry.path), depth - 1)


def _name_user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
