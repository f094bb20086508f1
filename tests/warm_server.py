"""The process whose copies run the project's programs: it imports the libraries, and waits for orders.

Run as `python -m tests.warm_server ADDRESS` by `tests/warm.py`.
"""

import array
import atexit
import gc
import importlib
import json
import logging
import os
import resource
import runpy
import select
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from tests.warm_order import STOP, TRAP, Order

COMMAND_LINE = "flows.cli.app"
# what the commands import of the project when they need it, as far as it does not import Prefect
OF_COMMANDS = (
    "amun.audit.earlier",
    "flows.findings",
    "flows.night",
    "flows.pages.erase_tables",
    "flows.pages.model_tables",
    "flows.pages.receipt_tables",
    "flows.pages.report_page",
    "flows.pages.request_page",
    "flows.pages.tables",
    "flows.pages.wave_tables",
    "flows.preview",
    "flows.running",
    "flows.setup",
    "tasks.tools.sound",
    "tasks.views.model_page",
    "tasks.views.report_facts",
    "tasks.views.status",
    "tasks.views.trace",
    "tasks.views.version_details",
    "tasks.workspace.backup",
    "tasks.workspace.canaries",
    "tasks.workspace.costs",
    "tasks.workspace.faults",
    "tasks.workspace.holdings",
    "tasks.workspace.preview",
    "tasks.workspace.retrained",
    "tasks.workspace.scanning",
    "tasks.workspace.worktree",
)
OF_STAGES = "-stages"  # ends the address of the process that knows none of the project's code
OF_NEW_INTERPRETER = 700, 10, 10  # when Python looks for garbage
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
    "mlflow.store.tracking.sqlalchemy_store",
    "dvc.repo",
    "boto3",
    "cryptography.x509",
)


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
                return look_after(connection, is_stage=address.endswith(OF_STAGES))
            connection.close()
    os._exit(0)


def look_after(connection: socket.socket, is_stage: bool) -> Order:
    """Returns in a copy of this process, as the program that was asked for; itself tells how that ends, and ends.

    The program is killed when it is told so, or when whoever asked for it is gone. A stage is left alone then: this
    process, its parent, ends, and it has to find that by itself, as the stage of a killed run does.
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
        if connection.recv(len(STOP)) != STOP and is_stage:
            os._exit(0)
        os.kill(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with suppress(OSError):
        connection.sendall(status.to_bytes(4, "big", signed=True))
    os._exit(0)


def become(order: Order) -> None:
    """Runs the program in this process, as if it had begun with it."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (order.file_size, order.file_size))
    os.chdir(order.folder)
    os.environ.clear()
    os.environ.update(order.variables)
    time.tzset()
    gc.set_threshold(*OF_NEW_INTERPRETER)
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
    elif program == TRAP:
        sys.argv = order.arguments
        importlib.import_module("tests.die").main()
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


def prepare(*names: str) -> None:
    """Imports modules, so that copies of this process have them."""
    for name in names:
        importlib.import_module(name)
    threads = [path.read_text(encoding="utf-8").strip() for path in Path("/proc/self/task").glob("*/comm")]
    # pyarrow's allocator ends its own thread at a fork
    if others := [name for name in threads[1:] if not name.startswith("jemalloc")]:
        raise SystemExit(f"threads {others}: a copy would wait for ever for what they hold")
    gc.collect()
    gc.freeze()  # a collection in a copy would write to all of it


class Aside(MetaPathFinder):
    """Prefect, imported and hidden: it comes back when a program imports it, and reads its settings then.

    Making the forms of its answers takes most of its import; they depend on no setting.
    """

    def __init__(self) -> None:
        """Imports it and hides it."""
        importlib.import_module("prefect.main")
        names = [name for name in sys.modules if name.partition(".")[0] == "prefect"]
        self._modules = {name: sys.modules.pop(name) for name in names}
        self._spec = self._modules["prefect"].__spec__
        sys.meta_path.insert(0, self)

    def find_spec(self, name: str, _path: object, _target: object = None) -> ModuleSpec | None:
        """Returns how to import Prefect: it is there already."""
        return ModuleSpec(name, self, is_package=True) if name == "prefect" else None  # type: ignore[arg-type]

    def create_module(self, _: ModuleSpec) -> ModuleType:
        """Returns the package, with all that belongs to it back in its place."""
        sys.meta_path.remove(self)
        sys.modules.update(self._modules)
        return self._modules["prefect"]

    def exec_module(self, module: ModuleType) -> None:
        """Has it read its settings, and set up its logging, as it does when it is imported."""
        module.__spec__ = self._spec
        context, logging_of = (self._modules[f"prefect.{name}"] for name in ("context", "logging.configuration"))
        context.refresh_global_settings_context()
        logging_of.PROCESS_LOGGING_CONFIG.clear()
        logging_of.setup_logging()


def list_packages() -> None:
    """Finds out once, not in each copy, which installed package has which module: MLflow asks when it logs a model."""
    importlib.import_module("mlflow.utils.requirements_utils")._init_packages_to_modules_map()


def compile_search() -> None:
    """Makes machine code of the scan's search once, not in each copy."""
    from amun.scan.hashing import WindowHash
    from amun.scan.matcher import Matcher

    Matcher(WindowHash.derive(bytes(32)), []).find_items(bytes(64), set())


def main() -> None:
    """Imports the libraries, waits at the address that it is given, and becomes a program that is asked for.

    A copy without the project's code waits for the stages.
    """
    sys.path.pop(0)  # the folder that it was started in: a program finds the project's code where its own begins
    prepare(*LIBRARIES)
    address = sys.argv[1]
    if os.fork() == 0:
        order = serve(address + OF_STAGES)
    else:
        compile_search()
        list_packages()
        prepare(COMMAND_LINE, *OF_COMMANDS)
        if "prefect" in sys.modules:
            raise SystemExit("one of what the commands import has imported Prefect, and its settings with it")
        Aside()
        prepare()
        order = serve(address)
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
