"""Real servers on loopback, Prefect's and MLflow's: how they are started, and whether they answer."""

import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from amun.core.errors import AmunError
from amun.core.network import read_timeout
from amun.core.paths import REGISTRY_FILES, STATE
from tasks.tools.environment import name_database
from tasks.tools.programs import Program, start_program

UI_VARIABLE = "PREFECT_SERVER_UI_ENABLED"
HOST = "127.0.0.1"
START_SECONDS = 120.0
POLL_SECONDS = 0.2
HEALTH_SECONDS = 5.0  # of a server that is asked again

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


def start_prefect(root: Path, port: int) -> Server:
    """Starts a Prefect server on this port, whose pages and API only this machine reaches."""
    url = f"http://{HOST}:{port}/api"
    variables = RECORDER | {"PREFECT_SERVER_API_HOST": HOST, "PREFECT_UI_API_URL": url}
    arguments = ("server", "start", "--host", HOST, "--port", str(port))
    return _start("Prefect", url, root / STATE / "prefect" / "server.log", "prefect", *arguments, variables=variables)


def start_mlflow(root: Path, port: int) -> Server:
    """Starts an MLflow server on this port and on the workspace's database, which only this machine reaches.

    Artifacts have addresses on this machine's disk, as they have without a server: what was written by one way is
    read by the other.
    """
    arguments = (
        *("server", "--host", HOST, "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", name_database(root)),
        *("--default-artifact-root", (root / REGISTRY_FILES).as_uri(), "--no-serve-artifacts"),
        *("--uvicorn-opts", "--log-level warning"),
    )
    # jobs are for evaluations of language models, and seven processes more
    variables = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    url = f"http://{HOST}:{port}"
    return _start("MLflow", url, root / STATE / "mlflow-server.log", "mlflow", *arguments, variables=variables)


def _start(name: str, url: str, log_path: Path, module: str, *arguments: str, variables: dict[str, str]) -> Server:
    """Starts a server that writes into a file: its banners and notes are not what a person asked to see."""
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("ab") as log:
        program = start_program(module, *arguments, variables=variables, output=log)
    return Server(name, url, program, str(log_path))


def wait_for(server: Server, is_stopped: Callable[[], bool] = lambda: False) -> None:
    """Returns when the server answers, or when nobody wants it any more.

    Raises:
        AmunError: it does not start in time, or has ended.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.program.poll() is None:
        if answers(server.url) or is_stopped():
            return
        time.sleep(POLL_SECONDS)
    if (code := server.program.poll()) is not None:
        raise AmunError(f"the {server.name} server has ended by itself with exit code {code}; see {server.said}")
    raise AmunError(f"the {server.name} server did not start within {START_SECONDS:.0f} seconds; see {server.said}")


def require_answer(variable: str, url: str) -> None:
    """Refuses an address of the user's at which nobody answers.

    Raises:
        AmunError: names the variable and the address.
    """
    if not answers(url, read_timeout()):
        raise AmunError(f"{variable}: no server answers at {url}; start it, or unset the variable")


def answers(url: str, seconds: float = HEALTH_SECONDS) -> bool:
    """Tells whether a server, of Prefect or MLflow, says within so many seconds that it is in health."""
    try:
        with urllib.request.urlopen(ask_health(url), timeout=seconds) as answer:  # noqa: S310 - the user's own
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError, ValueError, HTTPException):
        return False


def ask_health(url: str) -> urllib.request.Request:
    """Returns the question whether a server is in health; name and password of the address go where they belong."""
    parts = urlsplit(url)
    login, _, place = parts.netloc.rpartition("@")
    request = urllib.request.Request(f"{urlunsplit(parts._replace(netloc=place))}/health")  # noqa: S310 - likewise
    if login:
        request.add_header("Authorization", f"Basic {b64encode(unquote(login).encode()).decode('ascii')}")
    return request
