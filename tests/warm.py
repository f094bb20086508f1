"""Runs the project's programs in copies of one process that has imported the libraries already.

Importing PyTorch, MLflow and DVC takes longer than what most commands then do. So one process imports them and does
nothing else (`tests/warm_server.py`). A program becomes a copy of it, with its own folder, environment and outputs.
`Site.start` runs `amun` this way, as a copy of a process that has imported the command line as well: that is the
installed project's. DVC runs the stages, which import the code of their workspace, as a new interpreter does.

Note:
    What only a new interpreter can show is left to those who start one: tests with the marker `cold` or `long`, and the
    fixtures `init_run`, `wave_run` and, for some commands, `readme_run`. It is what a program imports for itself, what
    it sets before it does, and the order of sets: copies hash alike. Prefect reads its settings when it is imported;
    so it does in a copy, for it was imported before and hidden.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryFile, mkdtemp
from typing import IO

from tests.warm_order import ADDRESS_VARIABLE, TRAP, Order, ask, write_interpreter
from tests.warm_server import OF_STAGES

ROOT = Path(__file__).parent.parent
READ_EARLY = ("PYTHON", "LC_", "LANG")  # variables that an interpreter reads when it starts


class WarmProcess:
    """The process that waits for orders.

    Attributes:
        address: where `amun` is asked for.
        interpreter: a `python` that has stages run warm.
        told: the variables by which that finds this process.
        early: what it was given of the variables that only a starting interpreter reads.
    """

    def __init__(self, programs: Path, variables: Mapping[str, str]) -> None:
        """Takes the folder where `amun` lies, and what the process' environment has beside this one's."""
        # a short path, for a socket's has at most 107 bytes
        self._folder = Path(mkdtemp(prefix="warm"))
        self.address = str(self._folder / "orders")
        self._programs = programs
        self.interpreter = write_interpreter(self._folder)
        self.told = {ADDRESS_VARIABLE: self.address + OF_STAGES}
        self.early = pick_early(variables)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.warm_server", self.address],
            cwd=ROOT,
            # OpenBLAS would start threads when it is imported
            env=os.environ | variables | {"OPENBLAS_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        for _ in ("for stages", "for the command line"):
            assert self._process.stdout.readline() == "ready\n", "the warm process did not begin"

    def run(
        self, arguments: list[str], folder: Path, variables: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Runs a program to its end, as `subprocess.run` does.

        Raises:
            TimeoutExpired: it took longer.
            ConnectionError: it, or the process, has died on the way.
        """
        program, address = str(self._programs / arguments[0]), self.address
        if arguments[0] == "python":
            program, address = "python", self.address + OF_STAGES
        environment = {**variables, **self.told}
        order = Order([program, *arguments[1:]], str(folder), environment, str(self.interpreter))
        with Path(os.devnull).open() as nothing, TemporaryFile("w+") as output, TemporaryFile("w+") as errors:
            try:
                status = ask(address, order, [file.fileno() for file in (nothing, output, errors)], timeout)
            except TimeoutError:
                raise subprocess.TimeoutExpired(arguments, timeout, _read(output), _read(errors)) from None
            return subprocess.CompletedProcess(arguments, status, _read(output), _read(errors))

    def run_trap(self, command: Sequence[str], folder: Path, variables: Mapping[str, str], files: list[int]) -> int:
        """Runs the program that kills others (`tests/die.py`) with these for stdin, stdout and stderr, to its end."""
        order = Order([TRAP, *command], str(folder), {**variables, **self.told}, str(self.interpreter))
        return ask(self.address, order, files)

    def stop(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.communicate()
        rmtree(self._folder)


def _read(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


_in_use: list[WarmProcess | None] = [None]


@contextmanager
def run_warm(process: WarmProcess | None) -> Iterator[None]:
    """Has programs run by this process meanwhile; None: by a new interpreter each."""
    _in_use.append(process)
    try:
        yield
    finally:
        _in_use.pop()


def pick_early(variables: Mapping[str, str]) -> dict[str, str]:
    """Returns those of the variables that an interpreter reads when it starts."""
    return {name: value for name, value in variables.items() if name.startswith(READ_EARLY)}


def find_process() -> WarmProcess | None:
    """Returns who runs programs now, if anybody."""
    return _in_use[-1]
