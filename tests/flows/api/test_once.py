"""A demand counts once: when it comes twice at the same moment, and when the service dies before it has answered."""

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from time import sleep
from typing import Any

import httpx
import pytest

from amun.ledger import Ledger
from tasks.tools.environment import find_free_port
from tests.amun.ledger.helpers import MODEL, NOW, PROCESSES
from tests.api import Served, make_workspace, serve_and_die, serve_api

BODY = {"subject_id": "ann"}


def test_two_connections_with_one_key_make_one_request(served: Served) -> None:
    barrier = Barrier(2)
    headers = {**served.client.headers, "Idempotency-Key": "k-1"}

    def ask(_: int) -> httpx.Response:
        with httpx.Client(base_url=served.client.base_url, headers=headers, trust_env=False, timeout=60) as client:
            client.get("/healthz")  # it is connected
            barrier.wait()
            return client.post("/requests", json=BODY)

    with ThreadPoolExecutor(2) as threads:
        for _ in range(5):
            first, second = threads.map(ask, range(2))
            assert (first.status_code, first.json()) == (second.status_code, second.json()) == (201, first.json())
    assert len(served.ledger.list_requests(MODEL)) == 1
    assert [line["outcome"] for line in served.read_log() if line["request"]].count("recorded") == 1


def test_killed_before_it_answers_the_same_demand_has_the_same_request(own_ledger: Ledger, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    token = own_ledger.add_token("crm", ["requests:write"], NOW)
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "k-1"}
    port = find_free_port()
    dying = PROCESSES.Process(target=serve_and_die, args=(url, port))
    dying.start()
    with pytest.raises(httpx.RemoteProtocolError):
        _retry(lambda: httpx.post(f"http://127.0.0.1:{port}/requests", json=BODY, headers=headers, trust_env=False))
    dying.join()
    assert dying.exitcode == -signal.SIGKILL
    with serve_api(make_workspace(), own_ledger) as served:
        answer = served.post(BODY, **headers)
        assert (answer.status_code, answer.json()["request_id"]) == (201, "R-000001")
        assert served.read_log()[-1]["outcome"] == "repeated"
    assert len(own_ledger.list_requests(MODEL)) == 1


def _retry(ask: Callable[[], Any]) -> Any:
    """Asks until somebody listens."""
    for _ in range(600):
        try:
            return ask()
        except httpx.ConnectError:
            sleep(0.1)
    pytest.fail("nobody listens")
