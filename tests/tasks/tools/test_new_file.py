"""A file about a person lies where git keeps none, and is there whole or not at all."""

import re
from pathlib import Path

import pytest

from amun.core.errors import InputError
from tasks.tools.git import run_git
from tasks.tools.new_file import require_free, write_private


def test_place_that_is_none_for_a_persons_file_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    root.mkdir()
    run_git(root, "init", "--quiet")
    (root / ".gitignore").write_text("private\n", encoding="ascii")
    there = tmp_path / "there.zip"
    there.touch()
    for path, words in (
        (there, "exists already"),
        (tmp_path / "nowhere/export.zip", "there is no folder"),
        (root / "export.zip", "git would keep it"),
    ):
        with pytest.raises(InputError, match=f"^--to {re.escape(str(path))}: .*{words}"):
            require_free("--to", path, root)
    (root / "private").mkdir()
    for path in (tmp_path / "new.zip", root / "private/new.zip"):
        require_free("--to", path, root)


def fail(path: Path, error: Exception) -> None:
    with write_private("--to", path) as unfinished:
        unfinished.write_text("half", encoding="ascii")
        raise error


def test_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with pytest.raises(ZeroDivisionError):
        fail(path, ZeroDivisionError())
    with pytest.raises(InputError, match=f"^--to {re.escape(str(path))}: No space left on device$"):
        fail(path, OSError(28, "No space left on device"))
    for error in (OSError("of a library"), FileNotFoundError(2, "No such file or directory", "what it reads")):
        with pytest.raises(type(error)) as raised:
            fail(path, error)
        assert raised.value is error
    assert list(tmp_path.iterdir()) == []
    with write_private("--to", path) as unfinished:
        assert unfinished.stat().st_mode & 0o777 == 0o600
        unfinished.write_text("whole", encoding="ascii")
    assert (path.read_text(encoding="ascii"), path.stat().st_mode & 0o777) == ("whole", 0o600)
