"""Which commits are the pipeline's own: by their trailers, those of earlier releases by name or tag and digest."""

import hashlib
import shutil
from pathlib import Path

import pytest
import yaml

from amun.core.paths import WAVE
from amun.evidence.wave import write_json
from tasks.tools.dvc import LOCK_FILE
from tasks.tools.git import commit_paths, run_git
from tasks.workspace.recorded import Record, find_record, find_record_of, sign
from tests.workspaces import ROOT


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A clone of the project in which no wave has run."""
    run_git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    shutil.copyfile(ROOT / "dvc.yaml", tmp_path / "dvc.yaml")
    commit_paths(tmp_path, ["dvc.yaml"], "the project")
    return tmp_path


def write_wave(root: Path, number: int, *, fits: bool = True) -> None:
    """Writes a wave's files, of which `dvc.lock` names the very ones or others."""
    write_json(root / WAVE, {"number": number})
    digest = hashlib.md5((root / WAVE).read_bytes() if fits else b"", usedforsecurity=False).hexdigest()
    lock = {"stages": {"power": {"deps": [{"path": str(WAVE), "md5": digest}]}}}
    (root / LOCK_FILE).write_text(yaml.safe_dump(lock), encoding="utf-8")


def commit_all(root: Path, message: str) -> str:
    """Returns the commit that somebody makes of whatever there is."""
    run_git(root, "add", "--all")
    run_git(root, "commit", "--quiet", "--message", message, "--author", "somebody <somebody@localhost>")
    return run_git(root, "rev-parse", "HEAD")


def record(root: Path, number: int) -> str:
    """Returns the commit that the pipeline makes of a wave."""
    write_wave(root, number)
    return commit_paths(root, [str(WAVE), LOCK_FILE], sign(root, f"wave {number}", number))


def test_nothing_is_recorded_before_the_first_wave(root: Path) -> None:
    assert (find_record(root), find_record_of(root, 0)) == (None, None)


def test_wave_is_recorded_by_the_pipeline_alone(root: Path) -> None:
    first = record(root, 0)
    write_wave(root, 1)
    commit_all(root, "Other parameters")
    assert find_record(root) == Record(first, 0, is_wave=True)
    assert (find_record_of(root, 0), find_record_of(root, 1)) == (first, None)
    write_wave(root, 0)
    run_git(root, "add", "--all")
    back = commit_paths(root, [str(WAVE), LOCK_FILE], sign(root, "wave 0 is back", 0, restored=True))
    assert find_record(root) == Record(back, 0, is_wave=False)
    assert find_record_of(root, 0) == first
    second = record(root, 1)
    assert (find_record(root), find_record_of(root, 1)) == (Record(second, 1, is_wave=True), second)


def test_commit_that_was_changed_afterwards_records_nothing(root: Path) -> None:
    first = record(root, 0)
    record(root, 1)
    write_wave(root, 1, fits=False)
    run_git(root, "commit", "--quiet", "--all", "--amend", "--no-edit")
    assert find_record(root) == Record(first, 0, is_wave=True)


@pytest.mark.parametrize(
    ("fits", "by_pipeline", "tagged", "named", "is_record"),
    [
        (True, True, False, False, True),
        (True, False, True, False, True),
        (True, False, False, True, True),
        (False, False, False, True, True),
        (True, False, False, False, False),
        # what a failed wave has left: the stages were not computed from the wave at hand
        (False, True, False, False, False),
        (False, False, True, False, False),
    ],
)
def test_record_of_an_earlier_release(
    fits: bool, by_pipeline: bool, tagged: bool, named: bool, is_record: bool, root: Path
) -> None:
    write_wave(root, 3, fits=fits)
    message = "digits-cnn: wave 3 forgets 7 training samples"
    commit = commit_paths(root, [str(WAVE), LOCK_FILE], message) if by_pipeline else commit_all(root, message)
    if tagged:
        run_git(root, "tag", "wave/0003")
    found = find_record(root, [commit] if named else [])
    assert found == (Record(commit, 3, is_wave=True) if is_record else None)
