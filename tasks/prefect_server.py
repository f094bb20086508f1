"""The program of a Prefect server that ends with the command that started it, however that ends.

Run as `python -m tasks.prefect_server PORT`.
"""

import ctypes
import os
import runpy
import signal
import sys


def serve(port: str) -> None:
    """Runs a Prefect server on loopback until it is told to stop or its parent dies."""
    parent = os.getppid()
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)
        if os.getppid() != parent:
            return
    sys.argv = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", port]
    runpy.run_module("prefect", run_name="__main__")


if __name__ == "__main__":
    serve(sys.argv[1])
