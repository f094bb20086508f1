"""A real MLflow server on loopback, which takes files as a company's own does."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tasks.tools.environment import find_free_port

START_SECONDS = 90.0


@contextmanager
def run_mlflow(
    folder: Path, num_workers: int = 1, stores: Sequence[str] | None = None
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Gives the address of a server, and a function that kills it.

    Args:
        folder: where it keeps its log, and runs and files unless others are named.
        num_workers: its processes.
        stores: the options that say where else runs and files are.
    """
    port = find_free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    own = [
        "--backend-store-uri",
        f"sqlite:///{folder / 'mlflow.db'}",
        "--artifacts-destination",
        str(folder / "files"),
    ]
    places = ["--workers", str(num_workers), *(own if stores is None else stores)]
    with (folder / "server.log").open("ab") as log:
        # a session of its own, for its workers outlive it; jobs for language models are not needed
        process = subprocess.Popen(
            [*command, *places],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        )

    def kill() -> None:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(url, process)
        yield url, kill
    finally:
        kill()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/health", timeout=5).close()  # noqa: S310 - our own address
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"the MLflow server at {url} did not start")
