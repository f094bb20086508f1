"""Files written whole, and locks between processes."""

import subprocess
import sys
from pathlib import Path

import pytest

from amun.core.errors import InputError
from amun.core.files import replace_file, require_mode
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


@pytest.mark.parametrize(
    ("mode", "most", "is_refused"),
    [
        (0o600, 0o600, False),
        (0o400, 0o600, False),
        (0o000, 0o600, False),
        (0o400, 0o400, False),
        (0o600, 0o400, True),
        (0o700, 0o600, True),
        (0o500, 0o600, True),
        (0o640, 0o600, True),
        (0o620, 0o600, True),
        (0o604, 0o600, True),
        (0o601, 0o600, True),
    ],
)
def test_a_secret_file_that_more_is_allowed_of_is_refused(
    tmp_path: Path, mode: int, most: int, is_refused: bool
) -> None:
    path = tmp_path / "secret"
    path.touch()
    path.chmod(mode)
    if not is_refused:
        require_mode("AMUN_SECRET", path, most)
        return
    with pytest.raises(InputError, match=f"^AMUN_SECRET: {path} has mode {mode:03o}; type `chmod {most:03o} {path}`$"):
        require_mode("AMUN_SECRET", path, most)


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
