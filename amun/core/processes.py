"""Processes that work for this one, and what becomes of them and of their memory when one ends."""

import gc
import os
import resource
import sys
import threading
import time

ORPHAN_EXIT_CODE = 143
NUM_ALLOCATED = 50_000  # objects, more than were freed, after which Python looks for garbage; it would after 700
# the soft limit that this process was started with, once it has set its own
_inherited_core_limit: list[int] = []


def forbid_core_dumps() -> None:
    """Keeps this process, and all that it starts, from leaving its memory on the disk when it crashes.

    Pictures and keys lie there in clear. Whoever looks for a fault may allow it again, for the hard limit stays.

    Note:
        With a limit of 0 Linux writes no file, and yet hands the memory to a program that the system names
        (core_pattern, as Ubuntu's apport). One byte it takes for neither (`do_coredump` in fs/coredump.c). Where the
        hard limit is 0 that cannot be set, and `memory_on_disk` tells it: prctl(2) could make a process dump nothing,
        which takes files in /proc/self from it (clear_refs, by which the benchmark measures memory).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    _inherited_core_limit[:] = _inherited_core_limit or [soft]
    limit = 1 if sys.platform == "linux" and hard != 0 else 0
    resource.setrlimit(resource.RLIMIT_CORE, (limit, hard))


def read_inherited_core_limit() -> int:
    """Returns in bytes how long a core file may be of what is started beside this program; -1 is without end."""
    return _inherited_core_limit[0] if _inherited_core_limit else resource.getrlimit(resource.RLIMIT_CORE)[0]


def collect_rarely() -> None:
    """Makes Python look for garbage rarely: importing the tools makes a million objects that stay, looked at in vain.

    That took a tenth of the time of what a wave imports. What has no cycle is freed at once as ever.
    """
    gc.set_threshold(NUM_ALLOCATED)


def end_with_parent(parent: int | None = None) -> None:
    """Ends this process when its parent has died: whatever was killed leaves its children running.

    Args:
        parent: its process id, where it may have died already; None is whoever it is now.
    """
    parent = os.getppid() if parent is None else parent

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(ORPHAN_EXIT_CODE)

    threading.Thread(target=watch, daemon=True).start()
