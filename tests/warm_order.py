"""Asks the process of `tests/warm.py` to run a program. It imports little: each stage's `python` begins with it."""

import array
import json
import os
import resource
import select
import shlex
import signal
import socket
import sys
import time
from pathlib import Path
from typing import NamedTuple

ADDRESS_VARIABLE = "WARM_ADDRESS"
TRAP = "tests.die"  # the program that kills others
STOP = b"stop"  # says that a program is to be killed
ORPHAN_EXIT_CODE = 143  # as a stage ends that finds its parent gone
LOOK_SECONDS = 0.2


class Order(NamedTuple):
    """A program to run.

    Attributes:
        arguments: as typed: the path of `amun`, `python -m MODULE` or `TRAP`, and what follows.
        folder: in which it runs.
        variables: its whole environment.
        interpreter: what it takes for its Python.
        file_size: bytes beyond which none of its files grows.
    """

    arguments: list[str]
    folder: str
    variables: dict[str, str]
    interpreter: str
    file_size: int = resource.RLIM_INFINITY


def ask(address: str, order: Order, outputs: list[int], timeout: float | None = None) -> int:
    """Has a program run to its end; returns how it ended: an exit code, or minus a signal.

    Args:
        address: of the process that waits.
        order: the program.
        outputs: descriptors of its stdin, stdout and stderr.
        timeout: seconds after which it is killed.

    Raises:
        TimeoutError: it was.
        ConnectionError: nobody knows how it ended; whoever looked after it has died.
        SystemExit: the parent of this process is gone, and the program with it.
    """
    parent, begun = os.getppid(), time.monotonic()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        message = json.dumps(order).encode()
        length = len(message).to_bytes(4, "big")
        connection.sendmsg([length], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", outputs))])
        connection.sendall(message)
        while not select.select([connection], [], [], LOOK_SECONDS)[0]:
            if timeout is not None and time.monotonic() > begun + timeout:
                connection.sendall(STOP)
                raise TimeoutError
            if os.getppid() != parent:
                sys.exit(ORPHAN_EXIT_CODE)
        status = connection.recv(4)
    if len(status) < 4:
        raise ConnectionError(f"{order.arguments} was lost on the way; memory may have been short")
    return int.from_bytes(status, "big", signed=True)


def write_interpreter(folder: Path) -> Path:
    """Writes a `python` that has stages run warm, and is this one for everything else; returns its path."""
    path = folder / "python"
    # a shell's, for `#!` takes no path with a blank; -S, for it is to start in a hundredth of a second
    command = shlex.join([sys.executable, "-SE", __file__, sys.executable, str(path)])
    path.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return path


def pass_on(interpreter: str, own: str, *arguments: str) -> None:
    """Ends this process as the stage ends that it was asked for; becomes the interpreter for everything else."""
    address = os.environ.get(ADDRESS_VARIABLE)
    if address is None or arguments[:1] != ("-m",) or not arguments[1].startswith("amun.stages."):
        os.execv(interpreter, [interpreter, *arguments])  # noqa: S606
    file_size, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    order = Order(["python", *arguments], str(Path.cwd()), dict(os.environ), own, file_size)
    status = ask(address, order, [0, 1, 2])
    if status < 0:
        if -status not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


if __name__ == "__main__":
    pass_on(*sys.argv[1:])
