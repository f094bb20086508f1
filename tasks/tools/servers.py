"""Real servers on loopback: Prefect for the duration of a command, Prefect and MLflow for `amun serve`."""

import atexit
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from amun.core.errors import AmunError
from amun.core.paths import STATE
from tasks.tools.environment import API_VARIABLE, find_free_port, name_database
from tasks.tools.programs import Program, start_program, stop_program

UI_VARIABLE = "PREFECT_SERVER_UI_ENABLED"
HOST = "127.0.0.1"
START_SECONDS = 120.0
POLL_SECONDS = 0.2

# By default Prefect writes each change of a task run by itself, just when the next task asks for its slot. SQLite then
# refuses one of the two, and the task waits two seconds before it tries again. That happens several times in a wave.
RECORDER = {
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",  # seconds
}


@dataclass(frozen=True)
class Server:
    """A server that this process has started.

    Attributes:
        name: what a person calls it.
        url: the address that its clients are given.
        program: its process.
        said: where it tells what is wrong.
    """

    name: str
    url: str
    program: Program
    said: str


def provide_prefect(root: Path) -> Callable[[], None]:
    """Names a Prefect API for this process: the one the environment names, or a server started for as long.

    Returns a function that waits until the server answers. Import the flows before waiting, for both take seconds. The
    server stops when the process ends, and after Prefect's own exit handlers, which still have logs to deliver.

    Raises:
        AmunError: the named server does not answer.
    """
    if url := os.environ.get(API_VARIABLE):
        require_answer(API_VARIABLE, url)
        return lambda: None
    # it ends with the command, so nothing links to its pages
    os.environ[UI_VARIABLE] = "false"
    log_path = root / STATE / "prefect" / "server.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("ab") as log:
        server = start_prefect(find_free_port(), log)
    os.environ[API_VARIABLE] = server.url
    _tell_prefect()
    atexit.register(stop_program, server.program)
    return lambda: wait_for(server)


def _tell_prefect() -> None:
    """Makes Prefect read its variables again, where something has imported it before."""
    if "prefect" in sys.modules:
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()


def start_prefect(port: int, log: IO[bytes] | None = None) -> Server:
    """Starts a Prefect server on this port, whose pages and API only this machine reaches."""
    url = f"http://{HOST}:{port}/api"
    variables = RECORDER | {"PREFECT_SERVER_API_HOST": HOST, "PREFECT_UI_API_URL": url}
    arguments = ("server", "start", "--host", HOST, "--port", str(port))
    program = start_program("prefect", *arguments, variables=variables, output=log)
    return Server("Prefect", url, program, "above" if log is None else str(log.name))


def start_mlflow(root: Path, port: int) -> Server:
    """Starts an MLflow server on this port and on the workspace's database, which only this machine reaches.

    Artifacts have addresses on this machine's disk, as they have without a server: what was written by one way is
    read by the other.
    """
    arguments = (
        *("server", "--host", HOST, "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", name_database(root)),
        *("--default-artifact-root", (root / STATE / "mlartifacts").as_uri(), "--no-serve-artifacts"),
        *("--uvicorn-opts", "--log-level warning"),
    )
    # jobs are for evaluations of language models, and seven processes more
    program = start_program("mlflow", *arguments, variables={"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"})
    return Server("MLflow", f"http://{HOST}:{port}", program, "above")


def wait_for(server: Server, is_stopped: Callable[[], bool] = lambda: False) -> None:
    """Returns when the server answers, or when nobody wants it any more.

    Raises:
        AmunError: it does not start.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.program.poll() is None:
        if answers(server.url) or is_stopped():
            return
        time.sleep(POLL_SECONDS)
    raise AmunError(f"the {server.name} server did not start within {START_SECONDS:.0f} seconds; see {server.said}")


def require_answer(variable: str, url: str) -> None:
    """Refuses an address of the user's at which nobody answers.

    Raises:
        AmunError: names the variable and the address.
    """
    if not answers(url):
        raise AmunError(f"{variable}: no server answers at {url}; start it, or unset the variable")


def answers(url: str) -> bool:
    """Tells whether a server, of Prefect or MLflow, is in health at this address."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:  # noqa: S310 - an address of the user's own
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False
