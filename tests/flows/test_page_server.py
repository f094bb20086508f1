"""The served report asks for its token, whatever is asked for, and says nothing to whoever has none."""

import base64
from pathlib import Path
from wsgiref.util import setup_testing_defaults

import pytest

from amun.core.errors import InputError
from amun.core.params import read_params
from flows.page_server import TOKEN_VARIABLE, make_application, read_token
from tasks.workspace.workspace import Workspace
from tests.workspaces import ROOT

TOKEN = "correct-horse-battery-staple"  # noqa: S105 - of nobody


def ask(path: str, method: str = "GET", authorization: str | None = None) -> tuple[str, dict[str, str], str]:
    """Returns status, headers and text of what the application answers."""
    environ = {"PATH_INFO": path, "REQUEST_METHOD": method}
    environ |= {} if authorization is None else {"HTTP_AUTHORIZATION": authorization}
    setup_testing_defaults(environ)
    said: list[tuple[str, dict[str, str]]] = []

    def start(status: str, headers: list[tuple[str, str]], *_: object) -> object:
        said.append((status, dict(headers)))
        return None

    application = make_application(Workspace(ROOT, read_params(ROOT / "params.yaml")), TOKEN)
    text = b"".join(application(environ, start)).decode()  # type: ignore[arg-type]
    return *said[0], text


def basic(password: str) -> str:
    return f"Basic {base64.b64encode(f'officer:{password}'.encode()).decode()}"


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Basic",
        "Basic !",
        "Basic /w==",
        f"Digest {TOKEN}",
        TOKEN,
        "Bearer ",
        f"Bearer {TOKEN}x",
        basic(""),
        basic("wrong"),
    ],
)
@pytest.mark.parametrize("path", ["/", "/wave/1", "/nothing"])
def test_without_the_token_there_is_nothing(path: str, authorization: str | None) -> None:
    status, headers, text = ask(path, authorization=authorization)
    assert status.startswith("401")
    assert headers["WWW-Authenticate"].startswith("Basic realm=")
    assert text == "The token is missing or wrong.\n"


@pytest.mark.parametrize("authorization", [basic(TOKEN), f"Bearer {TOKEN}", f"bearer  {TOKEN}"])
def test_token_opens_what_there_is(authorization: str) -> None:
    status, headers, _ = ask("/nothing", authorization=authorization)
    assert status.startswith("404")
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert ask("/", "POST", authorization)[0].startswith("405")
    assert ask("/wave/1/../2", authorization=authorization)[0].startswith("404")


def test_token_lies_in_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    assert read_token() is None
    path = tmp_path / "token"
    monkeypatch.setenv(TOKEN_VARIABLE, f"file:{path}")
    path.touch(mode=0o600)
    for written, words in (("short", "5 letters, and 20 are the least"), ("", "is empty")):
        path.write_text(written, encoding="ascii")
        with pytest.raises(InputError, match=words):
            read_token()
    path.write_text(f"{TOKEN}\n", encoding="ascii")
    assert read_token() == TOKEN
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    with pytest.raises(InputError, match="names no file") as refused:
        read_token()
    assert TOKEN not in str(refused.value)
