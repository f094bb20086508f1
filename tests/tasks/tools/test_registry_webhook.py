"""MLflow tells of a new champion: what docs/alerts.md types subscribes to it, and verifies what comes."""

import io
import json
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from mlflow import MlflowClient

from tasks.tools.registry import promote
from tests.mlflow_server import run_mlflow
from tests.readme import read_blocks
from tests.tasks.tools.receivers import Posts, run_web
from tests.workspaces import MODEL

SECRET = "a secret of ours"  # noqa: S105
WAIT_SECONDS = 60.0  # a server tells in the background
_, SUBSCRIBE, VERIFY = read_blocks("alerts.md", "python")


@dataclass
class Registry:
    """A model of two versions in a server of two workers, and in its database, and what a receiver was told."""

    url: str
    database: str
    posts: Posts


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    (tmp_path / "secret").write_text(f"{SECRET}\n", encoding="utf-8")
    posts, database = Posts(), f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY", Fernet.generate_key().decode())
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "https,http")
    monkeypatch.setenv("CHAMPION_HOOK_SECRET", str(tmp_path / "secret"))
    with run_web(posts) as port, run_mlflow(tmp_path, num_workers=2) as (url, _):
        monkeypatch.setenv("CHAMPION_HOOK", f"http://127.0.0.1:{port}/champion")
        client = MlflowClient(database)
        client.create_registered_model(MODEL)
        for _ in range(2):
            client.create_model_version(MODEL, "s3://somewhere/model")
        yield Registry(url, database, posts)


@pytest.mark.long
def test_server_tells_of_the_champion_as_the_page_says(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.url)
    said = io.StringIO()
    with redirect_stdout(said):
        for _ in range(2):  # at each deployment
            exec(SUBSCRIBE, {})  # noqa: S102 - what a reader is told to run
    assert said.getvalue() == "it answers\n" * 2
    assert len(MlflowClient().list_webhooks()) == 1
    registry.posts.asked.clear()
    # whoever writes to the database itself is not heard
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.database)
    promote(MODEL, 1)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.url)
    promote(MODEL, 2)
    deadline = time.monotonic() + WAIT_SECONDS
    while not registry.posts.asked:
        assert time.monotonic() < deadline, "MLflow has told nothing"
        time.sleep(0.05)
    ((method, path, headers, body),) = registry.posts.asked
    content = json.loads(body)
    assert (method, path, content.pop("timestamp")[:2]) == ("POST", "/champion", "20")
    (example,) = read_blocks("alerts.md#when-another-version-serves", "json")
    told = json.loads(example)
    assert told.pop("timestamp")[:2] == "20"
    assert told["data"] == {"name": MODEL, "alias": "champion", "version": "3"}
    told["data"]["version"] = "2"
    assert content == told
    check_verification(load_verification(), headers, body)


def load_verification() -> Callable[[str, dict[str, str], bytes, float], bool]:
    """Returns the page's own function."""
    page: dict[str, Any] = {}
    exec(VERIFY, page)  # noqa: S102 - what a reader is told to run
    verify: Callable[[str, dict[str, str], bytes, float], bool] = page["is_from_mlflow"]
    return verify


def check_verification(
    verify: Callable[[str, dict[str, str], bytes, float], bool], headers: dict[str, str], body: bytes
) -> None:
    """Lets what MLflow has sent through, and nothing else."""
    now = time.time()
    assert verify(SECRET, headers, body, now)
    assert not verify(SECRET, headers, body.replace(b'"2"', b'"1"'), now)
    assert not verify(f"{SECRET}s", headers, body, now)
    assert not verify(SECRET, headers, body, now + 400)
    for name in ("x-mlflow-delivery-id", "x-mlflow-timestamp", "x-mlflow-signature"):
        assert not verify(SECRET, {other: value for other, value in headers.items() if other != name}, body, now)


def test_message_is_verified_as_mlflow_signs_it() -> None:
    from mlflow.webhooks.delivery import _generate_hmac_signature

    verify, sent_at, body = load_verification(), str(int(time.time())), b'{"data": {"version": "2"}}'
    signature = _generate_hmac_signature(SECRET, "an id", sent_at, body.decode())
    headers = {"x-mlflow-delivery-id": "an id", "x-mlflow-timestamp": sent_at, "x-mlflow-signature": signature}
    check_verification(verify, headers, body)
    # whatever somebody else sends
    assert not verify(SECRET, {}, b"", time.time())
    assert not verify(SECRET, headers | {"x-mlflow-signature": "v1,\u00e9"}, body, time.time())
