"""Processes that work for this one: they end with it, and share among them what it would do alone."""

import multiprocessing
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from amun.core.errors import AmunError

ORPHAN_EXIT_CODE = 143
Item = TypeVar("Item")
Result = TypeVar("Result")

# of a forked process: what it does with each item it is given
_functions: list[Callable[[Any], Any]] = []
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


def map_forked(function: Callable[[Item], Result], items: Sequence[Item], num_processes: int) -> Iterator[Result]:
    """Yields the function's results for all items in their order, from so many copies of this process.

    They are forked: they share what lies in memory, and import nothing anew. Where that is not safe (other systems than
    Linux), or with one process, the items are taken here, one after the other.

    Args:
        function: of an item; what it changes in memory is lost, what it returns or raises must be picklable.
        items: picklable.
        num_processes: at most so many. Torch must take a single thread here, and no other thread may hold a lock
            that the function takes: a copy would wait for it for ever.

    Raises:
        AmunError: a process died. Whatever the function raises.
    """
    num_processes = min(num_processes, len(items))
    if num_processes <= 1 or sys.platform != "linux":
        yield from map(function, items)
        return
    pool = ProcessPoolExecutor(
        num_processes, multiprocessing.get_context("fork"), initializer=_begin, initargs=(function, os.getpid())
    )
    try:
        yield from pool.map(_call, items)
    except BrokenProcessPool:
        raise AmunError(
            f"one of {num_processes} processes died, perhaps for want of memory; "
            "with fewer processors (`taskset --cpu-list 0 ...`, CPUAffinity= of a service) there are fewer of them"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(function: Callable[[Any], Any], parent: int) -> None:
    end_with_parent(parent)
    # a bar of progress has put others in their place, whose locks its thread may have held at the fork
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    _functions.append(function)


def _call(item: Any) -> Any:
    return _functions[-1](item)
