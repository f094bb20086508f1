"""Files written whole, and locks between processes."""

import subprocess
import sys
from pathlib import Path

import pytest

from amun.core.files import replace_file
from amun.core.locks import hold_lock


def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file.json"
    with replace_file(path) as unfinished:
        unfinished.write_text("first", encoding="ascii")
        assert not path.exists()

    def fail() -> None:
        with replace_file(path) as again:
            again.write_text("half", encoding="ascii")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_text(encoding="ascii") == "first"
    assert list(path.parent.iterdir()) == [path]


def test_a_secret_file_is_nobody_elses_although_a_killed_run_left_one_that_was(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    (tmp_path / "secret.unfinished").write_text("", encoding="ascii")
    (tmp_path / "secret.unfinished").chmod(0o644)
    with replace_file(path, mode=0o600) as unfinished:
        unfinished.write_text("secret", encoding="ascii")
    assert path.stat().st_mode & 0o777 == 0o600


def test_two_files_that_differ_in_their_ending_are_written_at_once(tmp_path: Path) -> None:
    with replace_file(tmp_path / "base.json") as one, replace_file(tmp_path / "base.safetensors") as other:
        one.write_text("one", encoding="ascii")
        other.write_text("other", encoding="ascii")
    assert (tmp_path / "base.json").read_text(encoding="ascii") == "one"


def test_a_lock_keeps_other_processes_out_until_its_holder_ends(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = (
        "import sys, time; from pathlib import Path; from amun.core.locks import hold_lock\n"
        "with hold_lock(Path(sys.argv[1])):\n print(flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", holder, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(BlockingIOError), hold_lock(path, waits=False):
            pass
        process.kill()
        process.wait()
        with hold_lock(path, mode=0o666, waits=False):
            assert path.stat().st_mode & 0o777 == 0o600, "its mode is that of its first holder"
