"""`amun serve`: ports that cannot be had, and a server that dies."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event

import pytest

from amun.core.errors import AmunError, InputError
from flows.serving import Ports, start_servers, watch
from tasks.tools.environment import API_VARIABLE, MLFLOW_VARIABLE, find_free_port, name_database
from tasks.tools.programs import start_program, stop_program


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(MLFLOW_VARIABLE, name_database(tmp_path))
    monkeypatch.delenv(API_VARIABLE, raising=False)
    return tmp_path


def refuse(root: Path, ports: Ports, words: str) -> None:
    with ExitStack() as stack, pytest.raises(InputError, match=words):
        start_servers(root, ports, stack)
    assert list(root.iterdir()) == []


def test_port_that_is_taken_is_refused_before_anything_starts(root: Path, taken: int) -> None:
    refuse(root, Ports(mlflow=taken), f"--mlflow-port {taken}: it cannot be had")
    refuse(root, Ports(find_free_port(), taken), f"--prefect-port {taken}: it cannot be had")
    refuse(root, Ports(taken, taken), f"--mlflow-port and --prefect-port are both {taken}")


def test_port_of_a_server_of_ones_own_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(API_VARIABLE, "http://prefect.example.org/api")
    refuse(root, Ports(prefect=4200), f"--prefect-port: {API_VARIABLE} names a server of yours")
    monkeypatch.setitem(os.environ, MLFLOW_VARIABLE, "http://mlflow.example.org")
    refuse(root, Ports(mlflow=5000), f"--mlflow-port: {MLFLOW_VARIABLE} names a server of yours")


def test_server_that_dies_ends_all_of_it_in_one_line(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MLFLOW_VARIABLE, "http://mlflow.example.org")
    monkeypatch.setenv(API_VARIABLE, "")
    with ExitStack() as stack:
        (server,) = start_servers(root, Ports(), stack)
        nightly = start_program("http.server", str(find_free_port()))
        stack.callback(stop_program, nightly)
        server.program.kill()
        with pytest.raises(AmunError, match=r"^Prefect .*/server\.log\) has ended by itself with exit code -9$"):
            watch([server], nightly, Event(), Event())
