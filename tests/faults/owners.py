"""Waves that have to do with others: servers that fail, owners that sleep, machines that share a ledger."""

import socket
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Thread

import psutil

from amun.core.paths import LEDGER
from tests.faults.disks import require_line
from tests.faults.lab import Lab
from tests.processes import wait_until
from tests.trap import FAILED, open_trap, read_all
from tests.workspaces import LIMIT_SECONDS, Site, describe

SILENT_SECONDS = "2"
# where a run is paused: never while it holds DVC's lock, which keeps another run in the same clone out
STOPS = (
    "tasks.steps.gate:decide",
    "tasks.steps.record:commit_paths",
    "tasks.steps.record:tag_commit",
    "tasks.steps.register:log_model",
    "tasks.steps.register:registry.promote",
    "amun.ledger:Ledger.complete_wave",
)


def let_servers_fail(lab: Lab, site: Site, _: Path) -> None:
    """Lets MLflow be a server that takes a call and says nothing, or half of an answer."""
    answer = lab.random.choice(
        [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{", b"\x00\xff", b"HTTP/1.1 500 \r\n\r\n"]
    )
    with _answer(answer) as port:
        variables = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}", "AMUN_TIMEOUT_S": SILENT_SECONDS}
        failed = Site(site.root, site.variables | variables).start("amun", "wave", "run")
    lab.note("silent", failed.returncode)
    require_line(failed)


def pause_the_owner(lab: Lab, site: Site, said: Path) -> None:
    """Stops a run, whose wave another ends once the lease has run out; waking up it must write nothing."""
    with said.open("w+", encoding="utf-8") as file, open_trap(site, file, "wave", "run") as run_and_die:
        with ThreadPoolExecutor(1) as thread:
            ended = thread.submit(run_and_die, "stop", lab.random.choice(STOPS))
            wait_until(lambda: ended.done() or _is_stopped(run_and_die.pid), "the pause", LIMIT_SECONDS)
            assert not ended.done(), f"it ended before its pause:\n{read_all(file)}"
            try:
                # as if two minutes had gone by
                with closing(sqlite3.connect(site.root / LEDGER, timeout=60)) as ledger, ledger:
                    ledger.execute("UPDATE waves SET lease_expires_at = opened_at WHERE state = 'open'")
                taken = site.start("amun", "wave", "run")
            finally:
                psutil.Process(run_and_die.pid).resume()
        assert taken.returncode == 0, describe(taken)
        assert ended.result() == FAILED, f"it takes the other's wave for its own:\n{read_all(file)}"


def _is_stopped(pid: int | None) -> bool:
    """Tells whether a run is stopped; one that has not begun is not."""
    # it may have ended meanwhile
    with suppress(psutil.NoSuchProcess):
        return pid is not None and psutil.Process(pid).status() == psutil.STATUS_STOPPED
    return False


@contextmanager
def _answer(answer: bytes) -> Iterator[int]:
    """Gives the port of a server that says this to everybody, and then nothing; empty: nothing at all."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    taken.append(server.accept()[0])
                except OSError:
                    return
                with suppress(OSError):  # who has gone needs no answer, and the next one gets the same
                    taken[-1].sendall(answer)

        Thread(target=serve, daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            for connection in taken:
                connection.close()
