"""The served report asks for its token, whatever is asked for, and says nothing to whoever has none."""

import base64
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from wsgiref.util import setup_testing_defaults

import pytest

from amun.core.errors import InputError
from amun.core.params import read_params
from amun.ledger import Ledger
from flows import page_server
from flows.page_server import TOKEN_VARIABLE, make_application, read_token, start_pages
from tasks.tools.environment import LEDGER_VARIABLE, find_free_port
from tasks.workspace.workspace import Workspace
from tests.amun.ledger.helpers import add, build_base
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


@pytest.fixture
def empty_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger without a wave."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    monkeypatch.setenv(LEDGER_VARIABLE, url)
    with Ledger.create(url) as opened:
        opened.register_model("digits-cnn")


@contextmanager
def serve(host: str = "127.0.0.1") -> Iterator[tuple[str, int]]:
    """Serves the report's pages for the block, and gives where."""
    address = host, find_free_port()
    stop = start_pages(Workspace(ROOT, read_params(ROOT / "params.yaml")), *address, TOKEN)
    try:
        yield address
    finally:
        stop()


def read_all(connection: socket.socket) -> bytes:
    """Returns what comes until the other side ends, however it does."""
    said = b""
    try:
        while part := connection.recv(1 << 16):
            said += part
    except ConnectionResetError:
        pass
    return said


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


@pytest.mark.usefixtures("empty_ledger")
def test_only_a_wave_that_is_missing_is_not_found(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status, _, text = ask("/wave/3", authorization=basic(TOKEN))
    assert (status, text) == ("404 Not Found", "There is no such wave.\n")
    assert capsys.readouterr().err == ""
    for error in (InputError("mlflow http://ann:swordfish@there is away"), ValueError("http://ann:swordfish@there")):
        monkeypatch.setattr("tasks.views.report_facts.gather_report", Raiser(error))
        status, headers, text = ask("/", authorization=basic(TOKEN))
        assert (status, text) == ("503 Service Unavailable", "It cannot be written now; the log says why.\n")
        assert headers["Cache-Control"] == "no-store"
        told = capsys.readouterr().err
        assert told.startswith("amun: the report cannot be served: ")
        assert "http://ann:***@there" in told
        assert told.count("\n") == 1


class Raiser:
    """Fails whenever it is called."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, *_: object) -> None:
        raise self.error


def test_requests_are_listed_page_by_page_and_nobody_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    people = [f"guest-{number}" for number in range(31)]
    monkeypatch.setenv(LEDGER_VARIABLE, f"sqlite:///{tmp_path / 'ledger.db'}")
    with Ledger.create(f"sqlite:///{tmp_path / 'ledger.db'}") as opened:
        build_base(opened, people)
        add(opened, *people, now=datetime(2026, 1, 31, tzinfo=UTC))
    status, headers, first = ask("/requests", authorization=basic(TOKEN))
    assert (status, headers["Content-Type"]) == ("200 OK", "text/html; charset=utf-8")
    assert ask("/requests/1", authorization=basic(TOKEN))[2] == first
    second = ask("/requests/2", authorization=basic(TOKEN))[2]
    rows = [re.findall(r'<th scope="row">(R-\d+)</th><td>2026-01-31</td><td>waits', page) for page in (first, second)]
    assert rows == [[f"R-{number:06d}" for number in range(31, 1, -1)], ["R-000001"]]
    assert [re.findall(r'href="(/[^"]*)"', page) for page in (first, second)] == [
        ["/", "/requests/2"],
        ["/", "/requests/1"],
    ]
    assert not [word for word in ("guest", "ticket") if word in first + second]
    for path in ("/requests/3", "/requests/0"):
        assert ask(path, authorization=basic(TOKEN))[::2] == ("404 Not Found", "There is no such page.\n")


def test_head_is_get_without_the_text() -> None:
    _, headers, text = ask("/nothing", authorization=basic(TOKEN))
    assert int(headers["Content-Length"]) == len(text) > 0
    assert ask("/nothing", "HEAD", basic(TOKEN)) == ("404 Not Found", headers, "")


def test_who_is_slow_or_goes_away_is_dropped_without_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_server._Handler, "timeout", 0.4)
    with serve() as address, socket.create_connection(address, 60) as slow:
        gone = socket.create_connection(address)
        gone.sendall(b"GET / HT")
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset
        gone.close()
        slow.settimeout(0.1)
        for _ in range(600):  # each byte long before a wait for one would end
            try:
                slow.sendall(b"G")
                if slow.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        else:
            pytest.fail("a byte now and then holds the connection for ever")
    assert capsys.readouterr().err == ""


def test_what_fails_beside_the_pages_is_one_masked_line(capsys: pytest.CaptureFixture[str]) -> None:
    server = page_server._Server(("127.0.0.1", 0), page_server._Handler)
    for error in (TimeoutError(), ConnectionResetError(), ValueError("http://ann:swordfish@there")):
        try:
            raise error
        except (OSError, ValueError):
            server.handle_error(None, ("192.0.2.7", 1))
    server.server_close()
    assert capsys.readouterr().err == "amun: the report's server: ValueError('http://ann:***@there')\n"


def test_connections_that_are_too_many_are_closed_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_server, "MAX_CONNECTIONS", 2)
    with serve() as address:
        waiting = [socket.create_connection(address, 60) for _ in range(2)]
        with socket.create_connection(address, 60) as third:
            assert read_all(third) == b""
        for connection in waiting:
            connection.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
            said = read_all(connection)
            assert said.startswith(b"HTTP/1.0 401 Unauthorized\r\n")
            assert b"\r\nServer: amun\r\n" in said
            assert said.endswith(b"\r\n\r\n")
            connection.close()


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_address_may_be_of_version_6() -> None:
    with serve("::1") as address, socket.create_connection(address, 60) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert read_all(connection).startswith(b"HTTP/1.0 401")
