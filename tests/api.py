"""Requests by HTTP as programs make them: a real server on the loopback interface, and calls of it."""

import json
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from threading import Thread
from time import sleep
from typing import Any

import httpx

from amun.core.params import read_params
from amun.ledger import Ledger
from amun.ledger.api_tokens import SCOPES
from flows.api import application
from flows.api.application import make_application
from flows.api.opendsr import Processor
from flows.api.server import Server, listen, make_server
from tasks.tools.environment import find_free_port
from tasks.workspace.workspace import Workspace
from tests.amun.ledger.helpers import NOW

MANY = 10_000.0  # calls a second
ROOT = Path(__file__).parent.parent


@dataclass
class Served:
    """A served ledger.

    Attributes:
        ledger: of which a token can be made.
        client: asks, with the token `all` unless another is given.
        token: which may do everything.
        server: of uvicorn.
        lines: of the log.
    """

    ledger: Ledger
    client: httpx.Client
    token: str
    server: Server
    lines: list[str] = field(default_factory=list)

    def post(self, body: Any, key: str | None = None, **headers: str) -> httpx.Response:
        """Makes a demand, with a key of its own unless one is given."""
        told = {"Idempotency-Key": key or token_hex(8)} | headers
        return self.client.post("/requests", json=body, headers=told)

    def add_token(self, name: str, scopes: Sequence[str]) -> dict[str, str]:
        """Returns the header of a new token."""
        return {"Authorization": f"Bearer {self.ledger.add_token(name, scopes, NOW)}"}

    def read_log(self) -> list[dict[str, Any]]:
        """Returns the log's lines."""
        return [json.loads(line) for line in self.lines]


@contextmanager
def serve_api(
    workspace: Workspace, ledger: Ledger, rate: float = MANY, processor: Processor | None = None
) -> Iterator[Served]:
    """Serves requests by HTTP for the block."""
    lines: list[str] = []
    token = ledger.add_token("all", SCOPES, NOW)
    with listen("127.0.0.1", find_free_port()) as bound:
        server = make_server(make_application(workspace, ledger, rate, lines.append, processor))
        thread = Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        while not server.started:
            sleep(0.01)
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        try:
            with httpx.Client(
                base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=60
            ) as client:
                yield Served(ledger, client, token, server, lines)
        finally:
            server.should_exit = True
            thread.join()


def make_workspace() -> Workspace:
    """Returns one with the shipped parameters, in which nothing is written."""
    return Workspace(ROOT, read_params(ROOT / "params.yaml"))


def serve_and_die(url: str, port: int) -> None:
    """Serves a ledger, and kills this process once a demand is recorded, before it is answered."""
    vars(application)["describe_posted"] = _die
    with Ledger(url) as ledger, listen("127.0.0.1", port) as bound:
        make_server(make_application(make_workspace(), ledger, MANY)).run(sockets=[bound])


def _die(*_: object) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)
