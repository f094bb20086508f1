"""Connections that are silent, slow, broken off or too many, and what they cost others."""

import http.client
import json
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import monotonic, sleep
from typing import Any

import httpx
import pytest
import yaml

from amun.core.databases import BUSY_SECONDS
from amun.core.errors import InputError
from amun.ledger import Ledger
from flows.api import server
from tasks.tools.environment import find_free_port
from tests.amun.ledger.helpers import MODEL
from tests.api import ROOT, Served, make_workspace, serve_api

ASK_MUCH = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n"
BODY = json.dumps({"subject_id": "ann"}).encode()


def wait_until(is_so: Callable[[], bool]) -> None:
    """Waits until something is so."""
    until = monotonic() + 60
    while not is_so():
        assert monotonic() < until
        sleep(0.01)


def connect(served: Served) -> socket.socket:
    """Returns a connection that takes little before it is read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    connection.connect(("127.0.0.1", served.client.base_url.port))
    return connection


@pytest.mark.parametrize(
    "calls", [(ASK_MUCH + b"\r\n") * 100, ASK_MUCH + b"Connection: close\r\n\r\n"], ids=["many", "last"]
)
def test_who_does_not_read_is_dropped(monkeypatch: pytest.MonkeyPatch, served: Served, calls: bytes) -> None:
    monkeypatch.setattr(server, "WAIT_SECONDS", 0.3)
    # an answer is more than the system takes for whoever does not read
    served.server.servers[0].sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    with connect(served) as connection:
        connection.sendall(calls)
        wait_until(lambda: bool(served.lines))
        wait_until(lambda: not served.server.server_state.connections)
    assert served.client.get("/healthz").status_code == 200


def test_call_that_broke_off_is_none(served: Served) -> None:
    head = f"POST /requests HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {served.token}\r\n"
    head += "Content-Type: application/json\r\nIdempotency-Key: k-1\r\n"
    for sent in (
        f"{head}Content-Length: 900\r\n\r\n".encode() + BODY,
        f"{head}Transfer-Encoding: chunked\r\n\r\n{len(BODY):x}\r\n".encode() + BODY + b"\r\n",
    ):
        told = len(served.lines)
        with connect(served) as connection:
            connection.sendall(sent)
        wait_until(lambda: len(served.lines) > told)  # noqa: B023 - it is called here
    assert [(line["request"], line["status"], line["outcome"]) for line in served.read_log()] == [(None, 0, "gone")] * 2
    assert served.ledger.list_requests(MODEL) == []


def test_silent_connections_shut_nobody_out(monkeypatch: pytest.MonkeyPatch, served: Served) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 4)
    port, headers = served.client.base_url.port, {"Authorization": f"Bearer {served.token}"}
    known = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    known.request("GET", "/requests/R-000001", headers=headers)
    assert known.getresponse().read()
    own = known.sock
    silent = [connect(served) for _ in range(12)]
    wait_until(lambda: len(served.server.server_state.connections) == 4)
    # the oldest ones are gone, and the last ones stay
    assert [connection.recv(1) for connection in silent[:9]] == [b""] * 9
    with httpx.Client(base_url=served.client.base_url, headers=headers, trust_env=False, timeout=60) as client:
        assert client.get("/requests/R-000001").status_code == 404
    known.request("GET", "/requests/R-000001", headers=headers)
    assert known.getresponse().status == 404
    assert known.sock is own
    for connection in silent:
        connection.close()
    known.close()
    assert len(served.lines) == 3


def test_what_the_server_says_is_told_as_other_faults(served: Served, capfd: pytest.CaptureFixture[str]) -> None:
    for sent in (b"ZEBEDEE 1\r\n\r\n",) * 3 + (
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: upgrade, close\r\nUpgrade: h2c\r\n\r\n",
    ):
        with connect(served) as connection:
            connection.sendall(sent)
            while connection.recv(1 << 16):
                pass
    assert capfd.readouterr().err.splitlines() == [
        "amun: HTTP: Invalid HTTP request received.",
        "amun: HTTP: Unsupported upgrade request.",
    ]


def test_call_that_the_end_cuts_off_is_unanswered(
    monkeypatch: pytest.MonkeyPatch, own_ledger: Ledger, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server, "STOP_SECONDS", 1)
    begun, released = Event(), Event()
    take = Ledger.take_all_posted

    def wait(*arguments: Any, **named: Any) -> Any:
        begun.set()
        assert released.wait(60)
        return take(*arguments, **named)

    monkeypatch.setattr(Ledger, "take_all_posted", wait)
    with serve_api(make_workspace(), own_ledger) as served, ThreadPoolExecutor(1) as threads:
        threads.submit(served.post, {"subject_id": "ann"})
        assert begun.wait(60)
        served.server.should_exit = True
        wait_until(lambda: bool(served.lines))
        released.set()
    assert [(line["status"], line["outcome"]) for line in served.read_log()] == [(0, "unanswered")]
    # what it asked for is done all the same
    wait_until(lambda: len(own_ledger.list_requests(MODEL)) == 1)
    told = capfd.readouterr().err
    assert all(line.startswith("amun: ") for line in told.splitlines())
    assert "a call was ended before it was answered" in told


def test_what_is_under_way_may_wait_for_the_ledger() -> None:
    assert server.STOP_SECONDS > BUSY_SECONDS
    compose = yaml.safe_load((ROOT / "infra/compose.yaml").read_text(encoding="utf-8"))
    assert int(compose["services"]["api"]["stop_grace_period"].removesuffix("s")) > server.STOP_SECONDS


def test_without_a_log_nothing_is_done(served: Served, capfd: pytest.CaptureFixture[str]) -> None:
    assert served.post({"subject_id": "ann"}).status_code == 201
    lines, served.server.config.loaded_app._write = served.lines, fail_to_write
    assert served.client.get("/healthz").status_code == 200
    for _ in range(2):
        assert served.post({"subject_id": "ben"}).status_code == 503
    assert len(served.ledger.list_requests(MODEL)) == 1
    served.server.config.loaded_app._write = lines.append
    assert served.client.get("/healthz").status_code == 503
    assert served.client.get("/healthz").status_code == 200
    assert capfd.readouterr().err.splitlines() == [
        "amun: the log cannot be written, so that no call is taken: BrokenPipeError"
    ]


def fail_to_write(_: str) -> None:
    raise BrokenPipeError


def test_address_and_rate_that_are_none() -> None:
    with pytest.raises(InputError, match="no machine has such a name"), server.listen("a" * 70, find_free_port()):
        pass
    with pytest.raises(InputError, match="--rate nan: it is no number of calls a second"):
        server.serve(make_workspace(), "127.0.0.1", None, float("nan"), "email")
    with pytest.raises(InputError, match="--identity phone: there is no such identity; there are"):
        server.serve(make_workspace(), "127.0.0.1", None, 1.0, "phone")
