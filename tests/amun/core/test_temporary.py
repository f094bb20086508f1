"""Temporary folders: gone afterwards, those of killed programs removed, those in use left alone."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from amun.core.held_folders import is_abandoned
from amun.core.temporary import PREFIX, catch_temporary, open_temporary, remove_abandoned
from tests.amun.shipped import ROOT
from tests.processes import wait_until

HOLD = """
import sys
from amun.core.temporary import open_temporary
with open_temporary() as folder:
    (folder / "weights").write_bytes(b"in clear")
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files are."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@contextmanager
def hold_elsewhere(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Starts a program that has a temporary folder in use."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD],
        env={"PYTHONPATH": str(ROOT), "TMPDIR": str(folder), "PATH": "/usr/bin:/bin"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "held\n"
        yield program
        program.kill()


def test_folder_is_gone_afterwards_and_nobody_else_reads_it(folder: Path) -> None:
    with open_temporary() as own:
        assert (own.parent, own.stat().st_mode & 0o777) == (folder, 0o700)
        (own / "file").touch()
    assert [*folder.iterdir()] == []


def test_what_a_killed_program_leaves_goes_and_what_is_in_use_stays(folder: Path) -> None:
    # not ours, being made, and a link that leads elsewhere
    (folder / "tmpabcd").mkdir()
    (folder / f"{PREFIX}new").mkdir()
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere/lock").touch()
    (folder / f"{PREFIX}link").symlink_to(folder / "elsewhere")
    others = {*folder.iterdir()}
    with hold_elsewhere(folder) as program:
        (held,) = {*folder.iterdir()} - others
        remove_abandoned()
        assert (held / "weights").exists()
        program.kill()
        program.wait()

    def is_gone() -> bool:
        remove_abandoned()
        return not held.exists()

    wait_until(is_gone, "the removal of what was left")
    assert {*folder.iterdir()} == others
    assert (folder / "elsewhere/lock").exists()


REMOVE = """
import os, sys
from amun.core.temporary import open_temporary
def tell(event, arguments):
    if event == "os.remove" and str(arguments[0]).endswith("lock"):
        print(os.listdir(folder), flush=True)
with open_temporary() as folder:
    for name in "abcdefgh":
        (folder / name).mkdir()
        (folder / f"{name}.txt").touch()
    sys.addaudithook(tell)
"""


def test_lock_is_removed_last(folder: Path) -> None:
    environment = {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder), "PATH": "/usr/bin:/bin"}
    ended = subprocess.run([sys.executable, "-c", REMOVE], env=environment, capture_output=True, text=True, check=True)
    assert (ended.stdout, [*folder.iterdir()]) == ("['lock']\n", [])


def test_what_was_half_removed_goes(folder: Path) -> None:
    for name, path in (("half", "weights"), ("early", "unheld"), ("older", "worktree/weights")):
        (folder / f"{PREFIX}{name}" / path).parent.mkdir(parents=True)
        (folder / f"{PREFIX}{name}" / path).touch()
    remove_abandoned()
    assert [path.name for path in folder.iterdir()] == [f"{PREFIX}early"]


def test_lock_that_goes_while_it_is_asked_for_is_not_made_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda _: True)
    assert is_abandoned(folder) is None
    assert [*folder.iterdir()] == []


def test_whoever_makes_a_temporary_file_it_lies_there(folder: Path) -> None:
    def fail() -> None:
        with catch_temporary() as own:
            assert Path(tempfile.mkdtemp()).parent == own
            raise ValueError("somebody's")

    with pytest.raises(ValueError, match="somebody's"):
        fail()
    assert tempfile.gettempdir() == str(folder)
    assert [*folder.iterdir()] == []
