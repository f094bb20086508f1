"""Wherever an address of the user's with a password is told, kept or asked, the password is not told."""

import logging
import os
import stat
import subprocess
import sys
from base64 import b64decode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.states import Failed

from amun.core.errors import AmunError
from amun.core.paths import SERVERS, STATE
from amun.ledger import Ledger
from tasks.steps.artifacts import _link_version
from tasks.tools.addresses import read_addresses, write_addresses
from tasks.tools.environment import find_free_port
from tasks.tools.git_remote import run_remote_git
from tasks.tools.registry import open_registry, translate_errors
from tasks.tools.s3 import list_objects, open_client, parse_location
from tasks.tools.servers import answers, require_answer
from tasks.tools.story import tell_failure

PASSWORD = "swordfish"  # noqa: S105 - of nobody


@pytest.fixture
def closed() -> str:
    """An address with a password at which nobody listens, without its scheme."""
    return f"ann:{PASSWORD}@127.0.0.1:{find_free_port()}"


def ask_mlflow(address: str, _folder: Path) -> None:
    os.environ["MLFLOW_TRACKING_URI"] = f"http://{address}"
    with translate_errors():
        open_registry().search_experiments()


def ask_mlflow_until_it_is_cut(address: str, _folder: Path) -> None:
    for num_letters in range(300):
        with pytest.raises(AmunError) as refused, translate_errors():
            raise OSError("x" * num_letters + f" http://{address}")
        assert PASSWORD[:5] not in str(refused.value).partition("failed")[2]
    raise refused.value


def ask_prefect(address: str, _folder: Path) -> None:
    require_answer("PREFECT_API_URL", f"http://{address}/api")


def ask_ledger(address: str, _folder: Path) -> None:
    Ledger(f"postgresql+psycopg://{address}/amun")


def ask_ledger_by_query(address: str, _folder: Path) -> None:
    Ledger(f"postgresql+psycopg://{address.partition('@')[2]}/amun?user=ann&password={PASSWORD}")


def ask_s3(address: str, _folder: Path) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "eu-central-1"}
    os.environ.update(keys | {"AWS_ENDPOINT_URL": f"http://{address}"})
    list(list_objects(open_client(), parse_location("s3://bucket/prefix")))


def ask_git(address: str, folder: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    run_remote_git(folder, "ls-remote", f"https://{address}/x.git")


@pytest.mark.parametrize(
    "ask", [ask_mlflow, ask_mlflow_until_it_is_cut, ask_prefect, ask_ledger, ask_ledger_by_query, ask_s3, ask_git]
)
def test_error_of_a_server_does_not_tell_its_password(
    ask: Callable[[str, Path], None], closed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {**os.environ, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"})
    os.environ["MLFLOW_TRACKING_URI"] = f"http://{closed}"
    with pytest.raises(AmunError) as refused:
        ask(closed, tmp_path)
    assert PASSWORD not in str(refused.value)
    assert "127.0.0.1" in str(refused.value) or ask is ask_s3


def test_file_of_addresses_is_for_its_owner_alone(tmp_path: Path, closed: str) -> None:
    (tmp_path / STATE).mkdir()
    for _ in range(2):
        write_addresses(tmp_path, f"http://{closed}", "http://127.0.0.1:4200/api")
        assert stat.S_IMODE((tmp_path / SERVERS).stat().st_mode) == 0o600
    told = read_addresses(tmp_path)
    assert told is not None
    assert told.mlflow == f"http://{closed}", "the other commands need it"


def test_link_to_a_version_has_no_login(closed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{closed}")
    assert f"(http://{closed.partition('@')[2]}/#/models/m/versions/3)" in _link_version("m", 3)


@pytest.fixture
def guarded() -> Iterator[str]:
    """The place of a server that is in health for whoever knows the password."""

    class Guard(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _, _, given = self.headers.get("Authorization", "").partition(" ")
            self.send_response(200 if b64decode(given) == b"ann:p@ss" and self.path == "/api/health" else 401)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Guard)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_server_behind_a_password_is_asked_with_it(guarded: str) -> None:
    assert answers(f"http://ann:p%40ss@{guarded}/api")
    assert not answers(f"http://ann:wrong@{guarded}/api")
    assert not answers(f"http://{guarded}/api")
    assert not answers(f"http://ann:pass@{guarded}x/api")


def test_failure_of_a_night_is_told_without_passwords(capsys: pytest.CaptureFixture[str]) -> None:
    error = f"Client error for url 'http://ann:{PASSWORD}@host/api'"
    run = FlowRun(id=uuid4(), flow_id=uuid4(), name="faces-wave-0001", deployment_id=uuid4())
    tell_failure(None, run, Failed(message=error))
    assert capsys.readouterr().err == "amun: faces-wave-0001 failed: Client error for url 'http://ann:***@host/api'\n"


def test_traceback_in_the_log_has_no_password(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger("prefect.flow_runs")
    monkeypatch.setattr(logger, "handlers", [caplog.handler])
    monkeypatch.setattr(logger, "propagate", False)
    try:
        raise ValueError(f"http://ann:{PASSWORD}@host")
    except ValueError as error:
        logger.exception("failed: %s", error)
    assert caplog.text.count("ValueError: http://ann:***@host") == 1
    assert caplog.text.count("failed: http://ann:***@host") == 1
    assert PASSWORD not in caplog.text


def test_traceback_at_the_end_of_a_program_has_no_password() -> None:
    program = f"""from amun.core.masking import mask_tracebacks
mask_tracebacks()
raise OSError('http://ann:{PASSWORD}@host refuses')"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.stderr.endswith("OSError: http://ann:***@host refuses\n")
    assert ended.returncode == 1
