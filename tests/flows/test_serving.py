"""`amun serve`: ports that cannot be had, and a server that dies."""

import os
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event

import pytest
from dvc.repo import Repo

from amun.core.errors import AmunError, InputError
from amun.core.params import read_params
from flows.deploying import _describe_step
from flows.findings import JUDGES, find_all, judge_page
from flows.page_server import TOKEN_VARIABLE
from flows.serving import Ports, _find_token, describe_servers, serve, serve_metrics, serve_report, start_servers, watch
from tasks.tools.dvc import set_remote
from tasks.tools.environment import API_VARIABLE, LEDGER_VARIABLE, MLFLOW_VARIABLE, find_free_port, name_database
from tasks.tools.git import run_git
from tasks.tools.programs import start_program, stop_program
from tasks.workspace.workspace import Workspace
from tests.workspaces import ROOT


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
        port = find_free_port()
        (server,) = start_servers(root, Ports(prefect=port), stack)
        assert server.url == f"http://127.0.0.1:{port}/api"
        nightly = start_program("http.server", str(find_free_port()))
        stack.callback(stop_program, nightly)
        server.program.kill()
        with pytest.raises(AmunError, match=r"^Prefect .*/server\.log\) has ended by itself with exit code -9$"):
            watch([server], nightly, Event(), Event())


def test_metrics_are_served_where_they_were_asked_for_and_refused_where_they_cannot_be(
    tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LEDGER_VARIABLE, f"sqlite:///{tmp_path / 'nothing.db'}")
    workspace = Workspace(tmp_path, read_params(ROOT / "params.yaml"))
    with ExitStack() as stack:
        url = serve_metrics(workspace, Ports(metrics=find_free_port()), stack)
        assert url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(url) as answer:  # noqa: S310 - of ours
            assert b'amun_ledger_up{model="digits-cnn"} 0.0' in answer.read()
        with pytest.raises(InputError, match=f"^--metrics-host 127.0.0.1 --metrics-port {taken}: it cannot be had"):
            serve_metrics(workspace, Ports(metrics=taken), stack)
        with pytest.raises(InputError, match=r"^--metrics-host 192\.0\.2\.1"):
            serve_metrics(workspace, Ports(metrics_host="192.0.2.1"), stack)
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url)  # noqa: S310


def test_report_is_served_where_it_was_asked_for_and_never_without_a_token(
    tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, token = Workspace(tmp_path, read_params(ROOT / "params.yaml")), "a-token-of-more-than-twenty-letters"
    with ExitStack() as stack:
        assert serve_report(workspace, Ports(), None, stack) == ""
        url = serve_report(workspace, Ports(page=find_free_port()), token, stack).removeprefix(", report ")
        assert url.startswith("http://127.0.0.1:")
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(url)  # noqa: S310 - of ours
        with pytest.raises(InputError, match=f"^--page-host 127.0.0.1 --page-port {taken}: it cannot be had"):
            serve_report(workspace, Ports(page=taken), token, stack)
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url)  # noqa: S310
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    with pytest.raises(InputError, match=f"^--page-port: without {TOKEN_VARIABLE} no report is served"):
        serve(workspace, Ports(page=9465))
    with pytest.raises(InputError, match=f"^--page-host: without {TOKEN_VARIABLE} no report is served"):
        serve(workspace, Ports(page_host="0.0.0.0"))  # noqa: S104 - nothing is served


def test_token_that_opens_nothing_costs_the_report_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, f"file:{tmp_path / 'nothing'}")
    assert _find_token(Ports()) is None
    assert capsys.readouterr().err.startswith(f"amun: no report is served: {TOKEN_VARIABLE}: ")
    with pytest.raises(InputError, match=TOKEN_VARIABLE):
        _find_token(Ports(page=9465))
    (finding,) = find_all(Workspace(tmp_path, read_params(ROOT / "params.yaml")), (judge_page,))
    assert finding.line.startswith(f"no report is served: {TOKEN_VARIABLE}: ")
    assert (finding.exit_code, finding.stops) == (0, False)
    assert judge_page in JUDGES


def test_addresses_are_told_without_their_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MLFLOW_VARIABLE, "http://ann:swordfish@mlflow.example.org:5000")
    monkeypatch.setenv(API_VARIABLE, "https://ann:swordfish@prefect.example.org/api")
    assert describe_servers() == (
        "MLflow http://ann:***@mlflow.example.org:5000, Prefect https://ann:***@prefect.example.org"
    )


def test_git_remote_with_a_password_is_not_given_to_prefect(tmp_path: Path) -> None:
    run_git(tmp_path, "init", "--quiet")
    run_git(tmp_path, "remote", "add", "origin", "https://ann:swordfish@git.example.org/faces.git")
    run_git(tmp_path, "config", "amun.remote", "origin")
    Repo.init(str(tmp_path)).close()
    set_remote(tmp_path, str(tmp_path / "remote"))
    with pytest.raises(InputError, match=r"^git remote origin: its address holds a password, which Prefect would"):
        _describe_step(tmp_path)
