"""Talking to a git remote: refusals in one line, no question that anybody would have to answer, no silence for ever."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from amun.core.errors import AmunError, InputError
from amun.core.network import TIMEOUT_VARIABLE
from tasks.tools.git import commit_paths, run_git
from tasks.tools.git_remote import run_remote_git
from tasks.workspace.upstream import find_git_remote, join_git_remote, push_all, require_git_remote, set_git_remote


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A clone of a bare repository with one commit, which it has as `company`."""
    run_git(tmp_path, "init", "--quiet", "--bare", "--initial-branch", "main", "company.git")
    run_git(tmp_path, "clone", "--quiet", "--origin", "company", "company.git", "clone")
    commit(tmp_path / "clone", "first")
    run_remote_git(tmp_path / "clone", "push", "company", "main")
    return tmp_path / "clone"


def commit(root: Path, content: str) -> str:
    (root / "file").write_text(content, encoding="ascii")
    return commit_paths(root, ["file"], content)


def test_remote_that_takes_the_branch_is_remembered(root: Path) -> None:
    require_git_remote(root, "company")
    set_git_remote(root, "company")
    assert run_git(root, "config", "amun.remote") == "company"
    run_git(root, "tag", "wave/0000")
    push_all(root, "company")
    assert run_git(root, "ls-remote", "company", "main") == f"{run_git(root, 'rev-parse', 'HEAD')}\trefs/heads/main"
    assert "refs/tags/wave/0000" in run_git(root, "ls-remote", "--tags", "company")


def test_missing_remote_names_those_that_are_there(root: Path) -> None:
    with pytest.raises(InputError, match=r"--git-remote origin: this clone has company; `git remote add` adds one"):
        require_git_remote(root, "origin")


def test_branch_that_has_gone_on_elsewhere_is_refused_and_never_forced(root: Path) -> None:
    run_git(root.parent, "clone", "--quiet", "company.git", "other")
    commit(root.parent / "other", "other")
    run_remote_git(root.parent / "other", "push", "origin", "main")
    commit(root, "own")
    with pytest.raises(InputError, match=r"does not take the branch main: git push: .*\[rejected\] \(fetch first\)"):
        require_git_remote(root, "company")
    with pytest.raises(AmunError, match=r"did not take main: .*\(fetch first\)"):
        push_all(root, "company")


def test_password_is_never_asked_for(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asker = tmp_path / "asker"
    asker.write_text(f"#!/bin/sh\ntouch {tmp_path / 'asked'}\nsleep 600\n", encoding="ascii")
    asker.chmod(0o755)
    monkeypatch.setenv("GIT_ASKPASS", str(asker))
    with serve_locked() as url:
        run_git(root, "remote", "set-url", "company", url)
        with pytest.raises(InputError, match="could not read Username"):
            require_git_remote(root, "company")
    assert not (tmp_path / "asked").exists()


def test_remote_that_keeps_silent_is_given_up(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nsleep 600\n", encoding="ascii")
    silent.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(silent))
    monkeypatch.setenv(TIMEOUT_VARIABLE, "0.5")
    run_git(root, "remote", "set-url", "company", "ssh://nowhere/company.git")
    with pytest.raises(AmunError, match="git ls-remote: no end after"):
        run_remote_git(root, "ls-remote", "company")


@contextmanager
def serve_locked() -> Iterator[str]:
    """Gives the address of a web server that wants a password for everything."""

    class Locked(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="company"')
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), Locked) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/company.git"
        server.shutdown()


def test_new_clone_finds_the_remote_by_itself(root: Path) -> None:
    set_git_remote(root, "company")
    push_all(root, "company")
    run_git(root.parent, "clone", "--quiet", "company.git", "new")
    new = root.parent / "new"
    assert find_git_remote(new) == "origin"
    run_git(new, "remote", "add", "backup", "elsewhere")
    with pytest.raises(InputError, match=r"`git config amun.remote NAME` says to which remote"):
        find_git_remote(new)
    run_git(new, "remote", "add", "company", "elsewhere")
    assert find_git_remote(new) == "company"
    join_git_remote(new, "origin")
    assert find_git_remote(new) == "origin"
