"""What is said of a workspace's settings before any work, one line for each finding."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from amun.core.paths import PARAMS as PARAMS_FILE
from flows.findings import SETTINGS, find_all, judge_base, judge_intake, judge_proxy, judge_server
from tasks.tools.git import run_git
from tasks.workspace.workspace import Workspace
from tests.amun.shipped import PARAMS, ROOT


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A clone with the shipped parameters, and no server named."""
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    run_git(tmp_path, "init", "--quiet")
    (tmp_path / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    return Workspace(tmp_path, PARAMS)


def change(workspace: Workspace, section: str, **changes: object) -> Workspace:
    changed = getattr(workspace.params, section).model_copy(update=changes)
    return Workspace(workspace.root, workspace.params.model_copy(update={section: changed}))


@pytest.fixture
def old_server() -> Iterator[str]:
    """The address of an MLflow server of release 2.22.0."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"2.22.0")

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_nothing_is_said_of_the_shipped_settings(workspace: Workspace) -> None:
    assert find_all(workspace, SETTINGS) == []


@pytest.mark.parametrize(
    ("section", "changes", "words", "stops"),
    [
        ("schedule", {"cron": "0 3 31 2 *"}, "0 3 31 2 *", True),
        ("schedule", {"cron": "99 3 * * *"}, "schedule.cron", True),
        ("schedule", {"timezone": "Berlin"}, "Berlin", True),
        ("intake", {"source": "/nowhere/requests"}, "/nowhere/requests is no folder", False),
    ],
)
def test_what_no_night_can_use_is_found(
    workspace: Workspace, section: str, changes: dict[str, object], words: str, stops: bool
) -> None:
    [finding] = find_all(change(workspace, section, **changes), (*SETTINGS, judge_intake))
    assert words in finding.line
    assert "\n" not in finding.line
    assert (finding.exit_code, finding.stops) == (2, stops)


def test_architecture_that_does_not_build_stops(workspace: Workspace) -> None:
    images = workspace.params.data.images.model_copy(update={"size": (8, 8), "resize": "stretch"})
    sized = change(workspace, "data", images=images)
    [finding] = find_all(change(sized, "model", architecture="no_such_network"), SETTINGS)
    assert "no_such_network" in finding.line
    assert finding.stops


def test_server_that_is_too_old_is_found_before_anything_is_computed(
    workspace: Workspace, old_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", old_server)
    [finding] = find_all(workspace, (judge_server,))
    assert "release 2.22.0, and 3.0 or newer is needed" in finding.line
    assert finding.stops


def test_server_behind_a_proxy_is_told(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example:5000")
    [finding] = find_all(workspace, (judge_proxy,))
    assert "mlflow.example is asked through the proxy" in finding.line
    assert finding.exit_code == 0


def test_changed_parameter_of_the_base_says_what_takes_it(workspace: Workspace) -> None:
    lock = {"stages": {"train": {"cmd": "", "params": {str(PARAMS_FILE): {"training.epochs": 7}}}}}
    (workspace.root / "dvc.lock").write_text(yaml.safe_dump(lock), encoding="ascii")
    [finding] = find_all(workspace, (judge_base,))
    assert f"training.epochs is {PARAMS.training.epochs}, and was 7 for the base" in finding.line
    assert "until `amun base rebuild`" in finding.line
    assert not finding.stops
