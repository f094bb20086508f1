"""Locks in a workspace and who holds them: DVC's, git's and our own."""

import json
import time
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

import psutil

from amun.core.counts import tell_count
from amun.core.locks import is_held
from amun.core.paths import INIT_LOCK, RECEIPT_LOCK, REPORT_LOCK, SERVE_LOCK, STAGE_LOCK
from tasks.tools.dvc import RWLOCK, release_rwlock
from tasks.tools.git import STALE_LOCK_SECONDS
from tasks.tools.git_objects import find_repository
from tasks.workspace.fault import Fault
from tasks.workspace.workspace import Workspace

_OURS = (STAGE_LOCK, RECEIPT_LOCK, SERVE_LOCK, INIT_LOCK, REPORT_LOCK)
_DVC_OWN = (Path(".dvc/tmp/lock"), Path(".dvc/tmp/rwlock.lock"))


def find_stale_locks(workspace: Workspace) -> Iterator[Fault]:
    """Yields locks that are left of who has ended, and that nothing gives back by itself."""
    root = workspace.root
    for path in _list_git_locks(root):
        age = _measure_age(path)
        if age is not None and age > STALE_LOCK_SECONDS and not _list_gits(root):
            yield Fault(
                f"{path} is {age / 60:.0f} minutes old, and no git is at work here: a killed one has left it",
                "remove it; git refuses until then",
                partial(path.unlink, missing_ok=True),
            )
    for number, command, paths in _read_rwlock(root):
        if _is_reused(root, number):
            now = psutil.Process(number).name()
            yield Fault(
                f"DVC's lock on {paths} is of process {number} ({command}), which has ended; the number is {now}'s now",
                f"take it out of {root / RWLOCK}; DVC refuses until that process has ended as well",
                partial(release_rwlock, root, number),
            )


def tell_held_locks(workspace: Workspace) -> list[str]:
    """Returns a line for each lock that somebody holds who is at work."""
    root = workspace.root
    files = [root / path for path in (*_OURS, *_DVC_OWN)]
    lines = [f"{path} is held by {holder}" for path in files if path.exists() and (holder := _name_holder(path))]
    lines += [
        f"DVC's lock on {paths} is held by process {number} ({command})"
        for number, command, paths in _read_rwlock(root)
        if psutil.pid_exists(number) and not _is_reused(root, number)
    ]
    for path in _list_git_locks(root):
        gits = _list_gits(root)
        age = _measure_age(path)
        if age is not None and (gits or age <= STALE_LOCK_SECONDS):
            by = f"held by {', '.join(gits)}" if gits else "held by nobody who can be seen"
            lines.append(f"{path} is {by}, for {tell_count(int(age), 'second')}")
    return lines


def _list_git_locks(root: Path) -> list[Path]:
    """Returns git's lock files: of its index and head, its settings, and of each branch and tag."""
    repository = find_repository(root)
    if not repository.is_dir():
        return []
    return sorted([*repository.glob("*.lock"), *(repository / "refs").rglob("*.lock")])


def _measure_age(path: Path) -> float | None:
    """Returns how old a file is in seconds; None where it has gone meanwhile."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return None


def _list_gits(root: Path) -> list[str]:
    """Returns the gits at work in a work tree, as people know them."""
    found = []
    for process in psutil.process_iter(["name", "cwd", "cmdline"]):
        is_here = process.info["cwd"] and Path(process.info["cwd"]).is_relative_to(root)
        if process.info["name"] == "git" and is_here:
            found.append(f"process {process.pid} ({' '.join(process.info['cmdline'] or [])[:80]})")
    return found


def _read_rwlock(root: Path) -> Iterator[tuple[int, str, str]]:
    """Yields who holds DVC's locks, with the command and on what; a torn file is removed by whoever opens DVC."""
    try:
        content = json.loads((root / RWLOCK).read_text(encoding="utf-8"))
        held: dict[tuple[int, str], list[str]] = {}
        for path, one in content.get("write", {}).items():
            held.setdefault((int(one["pid"]), str(one["cmd"])), []).append(path)
        for path, several in content.get("read", {}).items():
            for one in several:
                held.setdefault((int(one["pid"]), str(one["cmd"])), []).append(path)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return
    for (number, command), paths in held.items():
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        yield number, command, f"{Path(paths[0]).name}{more}"


def _is_reused(root: Path, number: int) -> bool:
    """Tells whether a process has begun after DVC last wrote its locks: another one had its number then."""
    try:
        begun_at = psutil.Process(number).create_time()
        return begun_at > (root / RWLOCK).stat().st_mtime
    except (psutil.NoSuchProcess, FileNotFoundError):
        return False


def _name_holder(path: Path) -> str:
    """Returns who holds a file's lock; empty where nobody does. The kernel tells a process's number."""
    inode = str(path.stat().st_ino)
    try:
        locks = [line.split() for line in Path("/proc/locks").read_text(encoding="ascii").splitlines()]
    except OSError:
        locks = []
    for fields in locks:
        # NUMBER: FLOCK ADVISORY WRITE PROCESS MAJOR:MINOR:INODE ...; who only waits has an arrow
        if "->" not in fields and fields[5].rpartition(":")[2] == inode and psutil.pid_exists(int(fields[4])):
            return _describe_process(int(fields[4]))
    return "a process that cannot be seen from here" if is_held(path) else ""


def _describe_process(number: int) -> str:
    try:
        process = psutil.Process(number)
        begun_at = datetime.fromtimestamp(process.create_time()).astimezone()
        command = " ".join(process.cmdline())[:80] or process.name()
        return f"process {number} ({command}), which began {begun_at:%Y-%m-%d %H:%M}"
    except psutil.Error:
        return f"process {number}"
