"""Connections that are silent, slow, broken off or too many, and what they cost others."""

import json
import socket
from collections.abc import Callable
from time import monotonic, sleep

import pytest

from flows.api import server
from tests.amun.ledger.helpers import MODEL
from tests.api import Served

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
