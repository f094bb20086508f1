"""Work trees of waves: one that a killed command left is removed, one in use is not, in whatever container it is."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.repo import Repo

from amun.core.errors import AmunError, InputError
from amun.core.paths import STATE
from amun.evidence.worst import PersonScore, Worst
from tasks.tools.git import run_git
from tasks.workspace import worktree
from tasks.workspace.worktree import find_worst, open_worktree
from tests.processes import wait_until
from tests.workspaces import ROOT

HOLD = """
import sys
from pathlib import Path
from tasks.workspace.worktree import open_worktree
with open_worktree(Path.cwd(), "HEAD"):
    print("held", flush=True)
    sys.stdin.read()
"""
APART = ["unshare", "--map-root-user", "--fork", "--pid", "--kill-child"]  # whose process ids mean nothing here


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository under DVC with one commit."""
    run_git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    with Repo.init(str(tmp_path)):
        (tmp_path / ".gitignore").write_text(f"/{STATE}\n", encoding="ascii")
        (tmp_path / "dvc.yaml").write_text("stages: {}\n", encoding="ascii")
    (tmp_path / STATE).mkdir()
    run_git(tmp_path, "add", "--all")
    run_git(tmp_path, "commit", "--quiet", "--message", "first")
    return tmp_path


def list_folders(root: Path) -> list[Path]:
    return sorted((root / STATE).glob("worktree-*"))


def test_work_tree_is_there_and_then_gone(root: Path) -> None:
    with open_worktree(root, "HEAD") as path:
        assert (path / ".gitignore").exists()
        assert run_git(path, "rev-parse", "HEAD") == run_git(root, "rev-parse", "HEAD")
    assert list_folders(root) == []
    assert run_git(root, "worktree", "list").count("\n") == 0


@pytest.mark.parametrize("apart", [[], APART], ids=["beside", "in a container"])
def test_work_tree_in_use_stays_and_one_left_behind_goes(apart: list[str], root: Path) -> None:
    if apart and (not shutil.which(apart[0]) or subprocess.run([*apart, "true"], check=False).returncode):
        pytest.skip("this machine lets nobody number processes anew")
    with subprocess.Popen(
        [*apart, sys.executable, "-c", HOLD],
        cwd=root,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        (held,) = list_folders(root)
        with open_worktree(root, "HEAD"):
            assert held in list_folders(root)
        assert list_folders(root) == [held]
        assert (held / "worktree/.gitignore").exists()
        holder.kill()
    wait_until(lambda: open_and_list(root) == [], "the removal of what was left behind")


def open_and_list(root: Path) -> list[Path]:
    with open_worktree(root, "HEAD"):
        pass
    return list_folders(root)


def test_folder_that_is_being_made_stays(root: Path) -> None:
    (root / STATE / "worktree-new").mkdir()
    (root / STATE / "worktree-older/worktree").mkdir(parents=True)  # of a build that knew no lock
    assert open_and_list(root) == [root / STATE / "worktree-new"]


TOLD = Worst(bound=3.2, num_people=40, people=(PersonScore(subject_id="erika", score=4.5),))


def commit_program(root: Path, program: str) -> None:
    """Commits what looks at people, as a wave's own code has it."""
    folder = root / "amun/stages"
    folder.mkdir(parents=True)
    for path in (root / "amun/__init__.py", folder / "__init__.py"):
        path.touch()
    (folder / "worst.py").write_text(program, encoding="ascii")
    run_git(root, "add", "--all")
    run_git(root, "commit", "--quiet", "--message", "a wave")


def test_people_who_stand_out_come_through_a_pipe_and_no_file_is_left(
    root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    looked_at: list[Path] = []
    monkeypatch.setattr(worktree, "_require_nobody_erased", looked_at.append)
    commit_program(root, f"print('waiting for another process'); print({TOLD.model_dump_json()!r})")
    assert find_worst(root, "HEAD") == TOLD
    assert len(looked_at) == 1
    assert capfd.readouterr().err == "waiting for another process\n", "it is told while it waits"
    assert [path for path in (root / STATE).rglob("*") if path.is_file() and b"erika" in path.read_bytes()] == []


REFUSE = """import os, pathlib
from amun.core.stage_result import StageResult
StageResult({code}, 'nobody has a score', 0.1).write(pathlib.Path(os.environ['AMUN_STAGE_RESULT']))
raise SystemExit({code})
"""


@pytest.mark.parametrize(
    ("program", "kind", "line"),
    [
        (REFUSE.format(code=2), InputError, "nobody has a score"),
        (REFUSE.format(code=1), AmunError, "looking at people at commit HEAD failed: nobody has a score"),
        ("raise SystemExit(2)", AmunError, "looking at people at commit HEAD failed: exit 2"),
        ("print('waiting')", AmunError, "looking at people at commit HEAD failed: it has printed nothing"),
    ],
)
def test_why_nobody_has_a_score_is_told(
    program: str, kind: type[AmunError], line: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worktree, "_require_nobody_erased", lambda _: None)
    commit_program(root, program)
    (root / "amun/core").symlink_to(ROOT / "amun/core")
    run_git(root, "add", "--all")
    run_git(root, "commit", "--quiet", "--message", "what it imports")
    with pytest.raises(kind) as raised:
        find_worst(root, "HEAD")
    assert (type(raised.value), str(raised.value)) == (kind, line)


def test_wave_of_a_version_that_did_not_look_at_people_says_so(root: Path) -> None:
    with pytest.raises(InputError, match="does not look at people one by one"):
        find_worst(root, "HEAD")
