"""Who holds a lock is told; one that is left of who has ended is found, and taken away without another's."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from amun.core.locks import hold_lock
from amun.core.params import read_params
from amun.core.paths import STAGE_LOCK
from tasks.tools.dvc import RWLOCK
from tasks.tools.git import run_git
from tasks.workspace.fault import Fault
from tasks.workspace.held_locks import find_stale_locks, tell_held_locks
from tasks.workspace.workspace import Workspace
from tests.workspaces import ROOT


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    run_git(tmp_path, "init", "--quiet")
    (tmp_path / RWLOCK).parent.mkdir(parents=True)
    return Workspace(tmp_path, read_params(ROOT / "params.yaml"))


def find_one(workspace: Workspace) -> Fault:
    (fault,) = find_stale_locks(workspace)
    return fault


def make_old(path: Path) -> None:
    os.utime(path, (time.time() - 3600,) * 2)


@contextmanager
def run_sleeper(root: Path, name: str = "sleep") -> Iterator[int]:
    """Gives the number of a program of this name that is at work in a folder."""
    program = root.parent / name
    program.write_bytes(Path("/bin/sleep").read_bytes())
    program.chmod(0o755)
    with subprocess.Popen([program, "60"], cwd=root) as process:
        try:
            yield process.pid
        finally:
            process.kill()


@pytest.mark.parametrize("name", ["index.lock", "HEAD.lock", "refs/heads/main.lock"])
def test_lock_of_a_killed_git_is_found_once_it_is_old(name: str, workspace: Workspace) -> None:
    assert [*find_stale_locks(workspace), *tell_held_locks(workspace)] == []
    lock = workspace.root / ".git" / name
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    assert list(find_stale_locks(workspace)) == []
    (line,) = tell_held_locks(workspace)
    assert line.startswith(f"{lock} is held by nobody who can be seen, for ")
    make_old(lock)
    with run_sleeper(workspace.root, "git") as number:
        assert list(find_stale_locks(workspace)) == [], "a git is at work"
        assert f"{lock} is held by process {number} (" in tell_held_locks(workspace)[0]
    fault = find_one(workspace)
    assert fault.what == f"{lock} is 60 minutes old, and no git is at work here: a killed one has left it"
    assert tell_held_locks(workspace) == []
    assert fault.mend is not None
    fault.mend()
    fault.mend()
    assert not lock.exists()
    assert list(find_stale_locks(workspace)) == []


def test_lock_of_dvc_whose_number_another_process_has_got_is_taken_out(workspace: Workspace) -> None:
    path = workspace.root / RWLOCK
    path.write_text('{"torn', encoding="ascii")
    assert list(find_stale_locks(workspace)) == []
    with run_sleeper(workspace.root) as number:
        gone, own = {"pid": number, "cmd": "dvc repro"}, {"pid": os.getpid(), "cmd": "dvc pull"}
        ended = {"pid": 2**22 + 1, "cmd": "dvc push"}
        held = {"write": {"/w/a": gone, "/w/b": own, "/w/c": ended}, "read": {"/w/d": [gone, own], "/w/e": [gone]}}
        path.write_text(json.dumps(held), encoding="ascii")
        assert list(find_stale_locks(workspace)) == []
        lines = tell_held_locks(workspace)
        assert f"DVC's lock on a and 2 more is held by process {number} (dvc repro)" in lines
        assert f"DVC's lock on b and 1 more is held by process {os.getpid()} (dvc pull)" in lines
        assert len(lines) == 2, "DVC takes out by itself whose number nobody has"
        # written before that process began, and after this one did
        begun_at = Path(f"/proc/{number}").stat().st_mtime
        os.utime(path, (begun_at - 1,) * 2)
        fault = find_one(workspace)
        assert f"DVC's lock on a and 2 more is of process {number} (dvc repro), which has ended" in fault.what
        assert "; the number is sleep's now" in fault.what
        assert fault.mend is not None
        fault.mend()
    left = {"write": {"/w/b": own, "/w/c": ended}, "read": {"/w/d": [own]}}
    assert json.loads(path.read_text(encoding="ascii")) == left


def test_holder_of_our_lock_and_of_dvc_s_is_named(workspace: Workspace) -> None:
    root = workspace.root
    with hold_lock(root / STAGE_LOCK):
        (line,) = tell_held_locks(workspace)
        assert line.startswith(f"{root / STAGE_LOCK} is held by process {os.getpid()} (")
        assert "which began 20" in line
    assert tell_held_locks(workspace) == []
    code = f"""
import zc.lockfile, time
held = zc.lockfile.LockFile({str(root / ".dvc/tmp/lock")!r})
print(flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            (line,) = tell_held_locks(workspace)
            assert line.startswith(f"{root / '.dvc/tmp/lock'} is held by process {process.pid} (")
        finally:
            process.kill()
    assert tell_held_locks(workspace) == []
