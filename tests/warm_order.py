"""Asks the process of `tests/warm.py` to run a program. It imports little: each stage's `python` begins with it."""

import array
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import NamedTuple

ADDRESS_VARIABLE = "WARM_ADDRESS"


class Order(NamedTuple):
    """A program to run.

    Attributes:
        arguments: as typed: `amun` or `python -m MODULE`, and what follows.
        folder: in which it runs.
        variables: its whole environment.
        interpreter: what it takes for its Python.
    """

    arguments: list[str]
    folder: str
    variables: dict[str, str]
    interpreter: str


def ask(address: str, order: Order, outputs: list[int], timeout: float | None = None) -> int:
    """Has a program run to its end; returns how it ended: an exit code, or minus a signal.

    Args:
        address: of the process that waits.
        order: the program.
        outputs: descriptors of its stdin, stdout and stderr.
        timeout: seconds after which it is killed.

    Raises:
        TimeoutError: it was.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        message = json.dumps(order).encode()
        length = len(message).to_bytes(4, "big")
        connection.sendmsg([length], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", outputs))])
        connection.sendall(message)
        connection.settimeout(timeout)
        status = connection.recv(4)
    return int.from_bytes(status, "big", signed=True)


def write_interpreter(folder: Path) -> Path:
    """Writes a `python` that has stages run warm, and is this one for everything else; returns its path."""
    path = folder / "python"
    path.write_text(
        f"#!{sys.executable} -SE\n"
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import warm_order\n"
        f"warm_order.pass_on({sys.executable!r}, {str(path)!r})\n",
        encoding="utf-8",
    )
    path.chmod(0o755)
    return path


def pass_on(interpreter: str, own: str) -> None:
    """Ends this process as the stage ends that it was asked for; becomes the interpreter for everything else."""
    arguments = sys.argv[1:]
    address = os.environ.get(ADDRESS_VARIABLE)
    if address is None or arguments[:1] != ["-m"] or not arguments[1].startswith("amun.stages."):
        os.execv(interpreter, [interpreter, *arguments])  # noqa: S606
    status = ask(address, Order(["python", *arguments], str(Path.cwd()), dict(os.environ), own), [0, 1, 2])
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)
