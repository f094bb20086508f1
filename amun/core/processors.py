"""How many processors this process may use."""

import os


def count_processors() -> int:
    """Returns their number: those that it is bound to, or all of the machine where the system binds nobody (macOS)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
