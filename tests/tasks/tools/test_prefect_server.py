"""A Prefect server of somebody else's that goes while a command runs is told in one line."""

import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from amun.core.errors import AmunError
from amun.core.network import TIMEOUT_VARIABLE
from tasks.tools.environment import API_VARIABLE
from tasks.tools.prefect_server import provide_prefect


class Healthy(BaseHTTPRequestHandler):
    """Answers that all is well, whatever it is asked."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """An environment of the test's own."""
    variables = {"PATH": os.environ["PATH"], "PREFECT_HOME": str(tmp_path), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    monkeypatch.setattr(os, "environ", variables)
    return variables


def test_server_of_somebody_elses_that_goes_is_named(variables: dict[str, str], tmp_path: Path) -> None:
    variables[TIMEOUT_VARIABLE] = "0.5"
    theirs = HTTPServer(("127.0.0.1", 0), Healthy)
    Thread(target=theirs.serve_forever, daemon=True).start()
    variables[API_VARIABLE] = url = f"http://127.0.0.1:{theirs.server_port}/api"
    server = provide_prefect(tmp_path)
    server.wait()
    assert not server.was_away()
    theirs.shutdown()  # it still listens, and answers nobody
    assert server.was_away()
    with pytest.raises(
        AmunError, match=f"^PREFECT_API_URL: the server at {url} no longer answers; the wave stays open"
    ):
        server.wait()
    with pytest.raises(AmunError, match=f"^PREFECT_API_URL: no server answers at {url}; "):
        provide_prefect(tmp_path)
    theirs.server_close()
