"""Files of commits: what a commit does not have is told from what git has lost."""

import subprocess
from pathlib import Path

import pytest

from amun.core.errors import AmunError
from tasks.tools.git import run_git
from tasks.tools.git_objects import GitObject, open_object, read_blobs

FILE = "plots/night/curve.csv"
TEXT = b"a curve\r\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with a file in folders, and a name with a blank beside it."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    for name in (FILE, "plots/of all", "alone"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(TEXT)
    run_git(tmp_path, "add", "--all")
    run_git(tmp_path, "commit", "--quiet", "--message", "A wave")
    return tmp_path


def name_file(root: Path, path: str) -> str:
    return f"{run_git(root, 'rev-parse', 'HEAD')}:{path}"


@pytest.mark.parametrize(
    "path", ["gone", "gone/curve.csv", "plots/gone", "plots/night/gone", "alone/below", "plots/of"]
)
def test_what_a_commit_does_not_have_is_none(root: Path, path: str) -> None:
    there, absent = name_file(root, "plots/of all"), name_file(root, path)
    assert read_blobs(root, [absent, there]) == {absent: None, there: TEXT}


def test_of_a_commit_that_is_not_in_the_clone_there_is_nothing(root: Path) -> None:
    absent = f"{'0' * 40}:{FILE}"
    assert read_blobs(root, [absent]) == {absent: None}


@pytest.mark.parametrize("lost", [FILE, "plots/night", "plots", ""])
def test_what_git_has_lost_is_no_absent_file(root: Path, lost: str) -> None:
    wanted = name_file(root, FILE)
    digest = run_git(root, "rev-parse", name_file(root, lost))
    (root / ".git/objects" / digest[:2] / digest[2:]).unlink()
    with pytest.raises(AmunError, match=f"git has lost {wanted}") as raised:
        read_blobs(root, [wanted])
    assert "\n" not in str(raised.value)


def test_stream_that_git_ends_early_is_no_whole_object(root: Path) -> None:
    with (
        pytest.raises(AmunError, match="git cannot read all of object 0000"),
        open_object(root, GitObject("0" * 40, "blob", None)) as stream,
    ):
        stream.read()


def test_reader_may_stop_before_the_end(root: Path) -> None:
    (root / "large").write_bytes(bytes(1 << 20))
    name = run_git(root, "hash-object", "-w", "large")
    with open_object(root, GitObject(name, "blob", None)) as stream:
        assert stream.read(10) == bytes(10)
