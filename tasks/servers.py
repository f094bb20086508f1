"""One real Prefect server for the duration of a command, where the environment names none."""

import atexit
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from amun.errors import AmunError
from amun.paths import STATE
from tasks.environment import find_free_port

API_VARIABLE = "PREFECT_API_URL"
START_SECONDS = 120.0
STOP_SECONDS = 20.0


def provide_prefect(root: Path) -> Callable[[], None]:
    """Names a Prefect API for this process: the one the environment names, or a server started for as long.

    Returns a function that waits until the server answers. Import Prefect after this call, for it reads the address
    once, and before waiting, for both take seconds. The server stops when the process ends, and after Prefect's own
    exit handlers, which were registered later and still have logs to deliver.

    Raises:
        AmunError: the named server does not answer.
    """
    if url := os.environ.get(API_VARIABLE):
        if not _answers(url):
            raise AmunError(f"{API_VARIABLE}: no Prefect server answers at {url}; start it, or unset the variable")
        return lambda: None
    port = find_free_port()
    own_url = os.environ[API_VARIABLE] = f"http://127.0.0.1:{port}/api"
    log_path = root / STATE / "prefect" / "server.log"
    server = _start_server(port, own_url, log_path)
    atexit.register(_stop, server)
    return lambda: _wait_for(own_url, server, log_path)


def _start_server(port: int, url: str, log_path: Path) -> subprocess.Popen[bytes]:
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "tasks.prefect_server", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PREFECT_SERVER_API_HOST": "127.0.0.1", "PREFECT_UI_API_URL": url},
            # a Ctrl-C on the terminal is for the flow
            start_new_session=True,
        )


def _wait_for(url: str, server: subprocess.Popen[bytes], log_path: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        if _answers(url):
            return
        time.sleep(0.2)
    raise AmunError(f"the Prefect server did not start within {START_SECONDS:.0f} seconds; see {log_path}")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:  # noqa: S310 - an address of the user's own
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
