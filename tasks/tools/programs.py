"""Starts programs that end with this one, and stops them with all that they have started."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import IO

import psutil

STOP_SECONDS = 20.0

Program = subprocess.Popen[bytes]


def start_program(
    module: str, *arguments: str, variables: Mapping[str, str] | None = None, output: IO[bytes] | None = None
) -> Program:
    """Starts a Python module that ends when this process does.

    Args:
        module: as after `python -m`.
        arguments: its arguments.
        variables: what its environment has besides this process's own.
        output: where stdout and stderr go; None leaves them where this process's own go.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "tasks.tools.tied", module, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
        env=os.environ | dict(variables or {}),
        # a Ctrl-C on the terminal is for this process, which stops the others in their order
        start_new_session=True,
    )


def stop_program(program: Program, seconds: float = STOP_SECONDS, by: signal.Signals = signal.SIGTERM) -> None:
    """Ends a program and what it has started: asks `by` a signal, and kills after so many seconds."""
    program.send_signal(by)
    with suppress(subprocess.TimeoutExpired):
        program.wait(seconds)
    # what is left of its group has had the time to end
    with suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)
    program.wait()


def has_stage_at_work() -> bool:
    """Tells whether a stage computes for this process, or for one that it has started."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if any(argument.startswith("amun.stages.") for argument in process.cmdline()):
                return True
    return False
