"""How much memory this process may still take: of the machine, of its container, or of its service.

Source: Linux' cgroup v2 (proc/PID/cgroup, memory.max, memory.current, memory.stat).
"""

from collections.abc import Iterator
from pathlib import Path

import psutil

GIB = 2**30
GROUPS, OWN_GROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def count_free_memory(groups: Path = GROUPS, own_group: Path = OWN_GROUP) -> int:
    """Returns the bytes that are free without swapping, and that no limit of a group of processes forbids.

    A container is such a group, and so is a service of systemd with `MemoryMax`. Limits of all groups that this process
    is in count, of each what it leaves; without one, or on another system, the machine's memory does.

    Args:
        groups: where groups are mounted as folders; a container sees its own as the topmost.
        own_group: tells this process's group.
    """
    free: int = psutil.virtual_memory().available
    return max(0, min([free, *_list_left(groups, own_group)]))


def _list_left(groups: Path, own_group: Path) -> Iterator[int]:
    """Yields the bytes that each limit leaves."""
    try:
        (path,) = [line[3:] for line in own_group.read_text(encoding="utf-8").splitlines() if line.startswith("0::")]
    except (OSError, ValueError):  # no Linux, or no groups of version 2
        return
    folder = groups / path.strip("/")
    for group in (folder, *folder.parents):
        if group.is_relative_to(groups) and (left := _count_left(group)) is not None:
            yield left


def _count_left(group: Path) -> int | None:
    """Returns the bytes that a group's limit leaves; None where it has none."""
    try:
        limit = int((group / "memory.max").read_text(encoding="ascii"))  # or `max`, which is no number
        used = int((group / "memory.current").read_text(encoding="ascii"))
        told = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
        # pages of files count as used, and are given back when somebody needs room
        return limit - used + int(told["inactive_file"]) + int(told["active_file"])
    except (OSError, ValueError, KeyError):
        return None
