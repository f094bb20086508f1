"""Temporary folders: gone afterwards, those of killed programs removed, those in use left alone."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

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


def test_whoever_makes_a_temporary_file_it_lies_there(folder: Path) -> None:
    def fail() -> None:
        with catch_temporary() as own:
            assert Path(tempfile.mkdtemp()).parent == own
            raise ValueError("somebody's")

    with pytest.raises(ValueError, match="somebody's"):
        fail()
    assert tempfile.gettempdir() == str(folder)
    assert [*folder.iterdir()] == []
