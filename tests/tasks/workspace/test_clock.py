"""A clock that disagrees with this machine's is told, whoever's it is; real servers date their answers wrongly."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from dvc.repo import Repo

from amun.core.params import read_params
from amun.ledger import Ledger, NewAlert
from tasks.tools.clocks import compare, measure_disk, measure_server
from tasks.tools.environment import API_VARIABLE, LEDGER_VARIABLE, MLFLOW_VARIABLE, find_free_port
from tasks.tools.git import run_git
from tasks.tools.s3 import measure_clock, open_client
from tasks.workspace.clock import TOLERANCE_SECONDS, find_wrong_clocks
from tasks.workspace.workspace import Workspace
from tests.amun.ledger.helpers import MODEL
from tests.answering import run_server
from tests.swift import BUCKET
from tests.workspaces import ROOT


@contextmanager
def date_wrongly(seconds: float, status: int = 200) -> Iterator[str]:
    """Gives the address of a server whose clock is ahead by so many seconds."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string((timestamp or time.time()) + seconds)

        def log_message(self, *_: object) -> None:
            pass

    with run_server(HTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace with a ledger and no server."""
    root = tmp_path / "workspace"
    (root / ".amun").mkdir(parents=True)
    run_git(root, "init", "--quiet")
    Repo.init(str(root)).close()
    for name in (MLFLOW_VARIABLE, API_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(LEDGER_VARIABLE, f"sqlite:///{tmp_path / 'ledger.db'}")
    with Ledger.create(os.environ[LEDGER_VARIABLE]) as ledger:
        ledger.register_model(MODEL)
    return Workspace(root, read_params(ROOT / "params.yaml"))


@pytest.mark.parametrize("status", [200, 401])
def test_server_with_another_clock_is_told(status: int, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(find_wrong_clocks(workspace)) == []
    with date_wrongly(4000, status) as ahead, date_wrongly(-500, status) as behind:
        monkeypatch.setenv(MLFLOW_VARIABLE, ahead)
        monkeypatch.setenv(API_VARIABLE, behind)
        first, second = find_wrong_clocks(workspace)
    assert first.what.endswith(f"s behind that of the server at {ahead} ({MLFLOW_VARIABLE})")
    assert 3990 < int(first.what.split()[4]) < 4010
    assert second.what.endswith(f"s ahead of that of the server at {behind} ({API_VARIABLE})")
    assert 490 < int(second.what.split()[4]) < 510
    assert "`timedatectl set-ntp true`" in first.remedy
    # one that is away says nothing of the time: whether it answers is another check's
    monkeypatch.setenv(MLFLOW_VARIABLE, f"http://127.0.0.1:{find_free_port()}")
    monkeypatch.delenv(API_VARIABLE)
    assert list(find_wrong_clocks(workspace)) == []
    assert list(workspace.root.glob(".amun/*")) == []


def test_entry_of_the_ledger_from_the_future_is_told(workspace: Workspace) -> None:
    now = datetime.now(UTC)
    with Ledger(os.environ[LEDGER_VARIABLE]) as ledger:
        assert ledger.find_newest_stamp() is None
        ledger.record_night(MODEL, now, is_good=True)
        assert list(find_wrong_clocks(workspace)) == []
        ledger.raise_alerts(MODEL, [NewAlert("night-failed", "", "told")], [], now + timedelta(hours=1))
        assert ledger.find_newest_stamp() == now + timedelta(hours=1)
    (fault,) = find_wrong_clocks(workspace)
    assert "s behind the ledger's latest entry, of 2" in fault.what


def test_difference_is_to_the_middle_of_the_question() -> None:
    at = datetime(2027, 3, 9, 2, 0, 0, tzinfo=UTC).timestamp()
    # dates have no fractions, so half a second is what is expected
    assert compare("Tue, 09 Mar 2027 02:00:00 GMT", at - 10, at + 11) == 0
    assert compare("Tue, 09 Mar 2027 02:01:00 GMT", at, at + 1) == 60
    assert compare(None, at, at) is None
    assert compare("yesterday", at, at) is None


def test_disk_dates_files_by_a_clock(tmp_path: Path) -> None:
    ahead = measure_disk(tmp_path, lambda: time.time() - 300)
    assert ahead is not None
    assert abs(ahead - 300) < TOLERANCE_SECONDS
    assert measure_disk(tmp_path / "nothing") is None
    assert list(tmp_path.iterdir()) == []


def test_real_bucket_dates_its_answers_and_refusals(aws: dict[str, str]) -> None:
    assert aws
    for bucket in (BUCKET, "no-such-bucket"):
        ahead = measure_clock(open_client(), bucket)
        assert ahead is not None
        assert abs(ahead) < TOLERANCE_SECONDS
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{find_free_port()}")
        assert measure_clock(open_client(), BUCKET) is None


def test_address_that_is_none_says_nothing() -> None:
    assert measure_server("http://") is None
