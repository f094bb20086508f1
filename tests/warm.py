"""Runs the project's programs in copies of one process that has imported the libraries already.

Importing PyTorch, MLflow and DVC takes longer than what most commands then do. So one process imports them and does
nothing else. A program becomes a copy of it, with its own folder, environment and outputs, and imports the project's
code from where a new interpreter would find it. `Site.start` runs `amun` this way, and DVC the stages.

Note:
    What only a new interpreter can show is left to those who start one: tests with the marker `cold` or `long`, and the
    fixtures `init_run`, `wave_run` and `readme_run`. It is what a program imports for itself, what it sets before it
    does, and the order of sets: copies hash alike. Prefect is not imported before: it reads its settings then.
"""

import array
import atexit
import gc
import importlib
import json
import logging
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryFile, mkdtemp
from typing import IO

from tests.warm_order import ADDRESS_VARIABLE, Order, ask, write_interpreter

ROOT = Path(__file__).parent.parent
UNFLUSHED = 120  # the exit code where what was printed could not be written
LIBRARIES = (
    "torch",
    "torch.export._trace",  # the compiler
    "torchvision",
    "pandas",
    "pyarrow.parquet",
    "scipy.stats",
    "sklearn.datasets",
    "sqlalchemy.orm",
    "typer",
    "rich.table",
    "jinja2",
    "matplotlib.figure",
    "fastapi",
    "httpx",
    "mlflow.pytorch",
    "dvc.repo",
    "boto3",
)


class WarmProcess:
    """The process that waits for orders.

    Attributes:
        interpreter: a `python` that has stages run warm.
        told: the variables by which that finds this process.
    """

    def __init__(self, programs: Path, variables: Mapping[str, str]) -> None:
        """Takes the folder where `amun` lies, and what the process' environment has beside this one's."""
        # a short path, for a socket's has at most 107 bytes
        self._folder = Path(mkdtemp(prefix="warm"))
        self._address = str(self._folder / "orders")
        self._programs = programs
        self.interpreter = write_interpreter(self._folder)
        self.told = {ADDRESS_VARIABLE: self._address}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.warm", self._address],
            cwd=ROOT,
            # OpenBLAS would start threads when it is imported
            env=os.environ | variables | {"OPENBLAS_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", "the warm process did not begin"

    def run(
        self, arguments: list[str], folder: Path, variables: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Runs a program to its end, as `subprocess.run` does.

        Raises:
            TimeoutExpired: it took longer.
            ConnectionError: it, or the process, has died on the way.
        """
        program = "python" if arguments[0] == "python" else str(self._programs / arguments[0])
        environment = {**variables, **self.told}
        order = Order([program, *arguments[1:]], str(folder), environment, str(self.interpreter))
        with Path(os.devnull).open() as nothing, TemporaryFile("w+") as output, TemporaryFile("w+") as errors:
            try:
                status = ask(self._address, order, [file.fileno() for file in (nothing, output, errors)], timeout)
            except TimeoutError:
                raise subprocess.TimeoutExpired(arguments, timeout, _read(output), _read(errors)) from None
            return subprocess.CompletedProcess(arguments, status, _read(output), _read(errors))

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


def find_process() -> WarmProcess | None:
    """Returns who runs programs now, if anybody."""
    return _in_use[-1]


def serve(address: str) -> Order:
    """Waits for orders for as long as its parent lives; returns in a copy of this process, with the order it is for."""
    parent = os.getppid()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that look after a program
        while os.getppid() == parent:
            if not select.select([listener], [], [], 0.5)[0]:
                continue
            connection = listener.accept()[0]
            if os.fork() == 0:
                listener.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                return look_after(connection)
            connection.close()
    os._exit(0)


def look_after(connection: socket.socket) -> Order:
    """Returns in a copy of this process, as the program that was asked for; itself tells how that ends, and ends.

    The program is killed when whoever asked for it is gone.
    """
    first, ancillary, _, _ = connection.recvmsg(4, socket.CMSG_SPACE(3 * 4))
    outputs = array.array("i", ancillary[0][2])
    length, message = int.from_bytes(first, "big"), b""
    while len(message) < length:
        if not (part := connection.recv(length - len(message))):
            os._exit(1)  # whoever asked is gone
        message += part
    pid = os.fork()
    if pid == 0:
        connection.close()
        for number, output in enumerate(outputs):
            os.dup2(output, number)
            os.close(output)
        return Order(*json.loads(message))
    ended = os.pidfd_open(pid)
    ready, _, _ = select.select([ended, connection.fileno()], [], [])
    if ended not in ready:
        os.kill(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with suppress(OSError):
        connection.sendall(status.to_bytes(4, "big", signed=True))
    os._exit(0)


def become(order: Order) -> None:
    """Runs the program in this process, as if it had begun with it."""
    os.chdir(order.folder)
    os.environ.clear()
    os.environ.update(order.variables)
    time.tzset()
    # what a library has set up, or drawn, when it was imported
    logging.getLogger().handlers.clear()
    importlib.import_module("numpy").random.seed()
    sys.executable = order.interpreter
    program, *arguments = order.arguments
    if program == "python":
        sys.orig_argv = [sys.executable, *arguments]
        sys.argv = arguments[1:]
        sys.path.insert(0, order.folder)
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.orig_argv = [sys.executable, program, *arguments]
        sys.argv = order.arguments
        sys.path.insert(0, str(Path(program).parent))
        importlib.import_module("flows.cli").main()


def end(code: object) -> None:
    """Ends the process as Python does; it leaves out only to take apart what was imported, which takes a second."""
    if not isinstance(code, int | None):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        code = UNFLUSHED
    os._exit(code or 0)


def main() -> None:
    """Imports the libraries, waits at the address that it is given, and becomes each program in turn."""
    sys.path.pop(0)  # the folder that it was started in: a program finds the project's code where its own begins
    for name in LIBRARIES:
        importlib.import_module(name)
    threads = [path.read_text(encoding="utf-8").strip() for path in Path("/proc/self/task").glob("*/comm")]
    # pyarrow's allocator ends its own thread at a fork
    if others := [name for name in threads[1:] if not name.startswith("jemalloc")]:
        raise SystemExit(f"threads {others}: a copy would wait for ever for what they hold")
    gc.collect()
    gc.freeze()  # a collection in a copy would write to all of it
    order = serve(sys.argv[1])
    try:
        become(order)
        end(None)
    except SystemExit as exited:
        end(exited.code)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        end(1)


if __name__ == "__main__":
    main()
