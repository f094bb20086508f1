"""What every tool is started with, whatever the shell that starts us says."""

import getpass
import os
import pwd
import subprocess
import sys
from pathlib import Path
from urllib.request import getproxies, proxy_bypass

import httpx
import pytest
import requests

from amun.core.errors import InputError
from tasks.tools.environment import keep_loopback_direct, name_user, set_environment
from tasks.tools.servers import answers
from tests.answering import serve

PROGRAM = """
import locale, sys
from tasks.tools.environment import ensure_utf8
ensure_utf8()
print(locale.getpreferredencoding(False).lower(), *sys.argv[1:])
"""


def test_other_locales_get_utf8() -> None:
    foreign = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM, "of", "its own"],
        env=os.environ | foreign,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert finished.stdout.split(maxsplit=1) == ["utf-8", "of its own\n"]


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_goes_through_no_proxy(variable: str, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serve(403) as proxy, serve(200) as port:
        monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy}")
        keep_loopback_direct()
        url = f"http://{host}:{port}"
        assert answers(url)
        assert httpx.get(url).status_code == requests.get(url, timeout=5).status_code == 200
        # what is elsewhere still goes through it
        assert requests.get("http://elsewhere.test", timeout=5).status_code == 403


@pytest.mark.parametrize(
    ("lower", "upper", "merged"),
    [
        ("", "", "127.0.0.1,localhost"),
        ("", "intern.example", "intern.example,127.0.0.1,localhost"),
        ("a.example, localhost", "b.example", "a.example,localhost,127.0.0.1"),
        ("*", "", "*"),
    ],
)
def test_exceptions_of_the_user_stay(lower: str, upper: str, merged: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", lower)
    monkeypatch.setenv("NO_PROXY", upper)
    for _ in range(2):
        keep_loopback_direct()
        assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == getproxies()["no"] == merged
    assert proxy_bypass("127.0.0.1:80")


def test_user_without_a_name_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = max(entry.pw_uid for entry in pwd.getpwall()) + 1
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "")
    name_user()
    assert not os.environ["LOGNAME"]
    monkeypatch.setattr(os, "getuid", lambda: unknown)
    with pytest.raises(KeyError):
        getpass.getuser()
    name_user()
    assert getpass.getuser() == f"uid-{unknown}"


def test_path_that_no_database_can_name_is_refused_before_anything_is_set(tmp_path: Path) -> None:
    before = dict(os.environ)
    with pytest.raises(InputError, match=r"/a \?#b: .* ends at '\?'"):
        set_environment(tmp_path / "a ?#b")
    assert dict(os.environ) == before
