"""Runs a Python module as a program that ends with the process that started it, however that ends.

Run as `python -m tasks.tools.tied MODULE ARGUMENT...`.
"""

import ctypes
import os
import runpy
import signal
import sys
from collections.abc import Sequence

from amun.core.exit_codes import INTERRUPTED
from amun.core.processes import collect_rarely


def run_tied(module: str, arguments: Sequence[str]) -> None:
    """Runs a module as `python -m` does, until it ends, is told to stop, or its parent dies."""
    collect_rarely()
    parent = os.getppid()
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)
        if os.getppid() != parent:
            return
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    try:
        run_tied(sys.argv[1], sys.argv[2:])
    except KeyboardInterrupt:
        # a program that listens for it takes it; one that is still starting has nothing to tell
        sys.exit(INTERRUPTED)
