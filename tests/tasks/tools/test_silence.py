"""Servers that accept and never answer: each wait ends, after `AMUN_TIMEOUT_S`, in one line that names the server."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from torchvision.datasets import FashionMNIST

from amun.core.errors import AmunError, InputError
from amun.core.network import TIMEOUT_VARIABLE, read_timeout, read_whole_timeout
from amun.ledger import Ledger
from amun.store.sources.catalogue import list_source
from tasks.tools.environment import MLFLOW_VARIABLE
from tasks.tools.git import run_git
from tasks.tools.git_remote import run_remote_git
from tasks.tools.registered import find_champion
from tasks.tools.registry import open_registry, translate_errors
from tasks.tools.s3 import Location, list_objects, open_client
from tasks.tools.servers import require_answer


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A host and port at which connections are taken, and nothing is ever said."""
    monkeypatch.setenv(TIMEOUT_VARIABLE, "0.3")
    with socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv(MLFLOW_VARIABLE, f"http://{address}")
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{address}")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "nobody")
        yield address


def ask_git(address: str, root: Path) -> None:
    run_git(root, "init", "--quiet")
    run_remote_git(root, "fetch", f"http://{address}/company.git")


def ask_filtered_clone(address: str, root: Path) -> None:
    """Reads a file in a clone that was made without its contents."""
    run_git(root, "init", "--quiet", "company")
    (root / "company/file").write_text("x", encoding="ascii")
    run_git(root / "company", "add", "file")
    run_git(root / "company", "commit", "--quiet", "--message", "x")
    run_git(root / "company", "config", "uploadpack.allowFilter", "true")
    run_git(root, "clone", "--quiet", "--no-checkout", "--filter=blob:none", f"file://{root}/company", "clone")
    run_git(root / "clone", "remote", "set-url", "origin", f"http://{address}/company.git")
    run_git(root / "clone", "show", "HEAD:file")


def keep_file(root: Path) -> None:
    """Gives MLflow a file for a run whose files lie on S3, as a registry in a database and a bucket takes it."""
    os.environ[MLFLOW_VARIABLE] = f"sqlite:///{root / 'mlflow.db'}"
    client = open_registry()
    run = client.create_run(client.create_experiment("x", artifact_location="s3://bucket/prefix"))
    (root / "a").write_text("a", encoding="ascii")
    with translate_errors():
        client.log_artifact(run.info.run_id, str(root / "a"))


def download(address: str, root: Path) -> None:
    """Lets torchvision download a set whose address is another server's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FashionMNIST, "mirrors", [f"http://{address}/"])
        list_source("torchvision", root, {"name": "FashionMNIST", "parts": [{}], "download": True})


QUESTIONS: dict[str, tuple[Callable[[str, Path], object], str]] = {
    "MLflow": (lambda *_: find_champion("digits-cnn"), "MLFLOW_TRACKING_URI: no server answers at http://{address} "),
    "Prefect": (lambda address, _: require_answer("HERE", f"http://{address}/api"), "HERE: no server answers at http"),
    "Postgres": (lambda address, _: Ledger(f"postgresql+psycopg://me@{address}/amun"), "the ledger .* timeout expired"),
    "S3": (lambda *_: list(list_objects(open_client(), Location("bucket", ""))), "s3://bucket: .*{address}"),
    "MLflow on S3": (lambda _, root: keep_file(root), "^MLflow at sqlite:.* failed: Read timeout .*{address}"),
    "torchvision": (download, "data.root: FashionMNIST cannot be read from .*"),
    "git in a clone with a filter": (ask_filtered_clone, "git show failed in .*{address}.* too slow"),
    "git": (ask_git, "git fetch: .*{address}.* too slow"),
}


@pytest.mark.parametrize("server", QUESTIONS)
def test_silence_ends_in_one_line(server: str, address: str, tmp_path: Path) -> None:
    ask, words = QUESTIONS[server]
    with pytest.raises(AmunError, match=words.format(address=address)) as refused:
        ask(address, tmp_path)
    assert "\n" not in str(refused.value)


def test_timeout_is_read_from_the_environment_and_must_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, seconds in (("", 20.0), ("7.5", 7.5), ("0.2", 0.2)):
        monkeypatch.setenv(TIMEOUT_VARIABLE, text)
        assert read_timeout() == seconds
        assert read_whole_timeout() == max(1, round(seconds))
    for text in ("0", "-1", "soon", "nan", "inf"):
        monkeypatch.setenv(TIMEOUT_VARIABLE, text)
        with pytest.raises(InputError, match=f"AMUN_TIMEOUT_S: '{text}' is no number of seconds above 0"):
            read_timeout()
