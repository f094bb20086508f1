"""What DVC notes beside its cache, and what killed commands leave, goes with an erasure."""

import tempfile
from pathlib import Path

import pytest
from dvc.repo import Repo

from amun.core.held_folders import hold_folder
from amun.core.paths import STATE
from amun.core.temporary import PREFIX
from tasks.tools import dvc
from tasks.tools.dvc import DvcRefusalError
from tasks.tools.git import run_git
from tasks.workspace import traces
from tasks.workspace.traces import erase_traces
from tasks.workspace.worktree import has_worktrees

NAME = "erika_mustermann.png"
SITE = "DVC_SITE_CACHE_DIR"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace in which DVC keeps a file that is called as a person."""
    root = tmp_path / "workspace"
    (root / STATE).mkdir(parents=True)
    monkeypatch.setenv(SITE, str(root / STATE / "dvc"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return make_clone(root)


def make_clone(root: Path) -> Path:
    """Makes a clone in which DVC has noted of a file what it is called."""
    root.mkdir(exist_ok=True)
    run_git(root, "init", "--quiet")
    Repo.init(str(root)).close()
    (root / "raw").mkdir()
    (root / "raw" / NAME).write_bytes(b"a picture")
    dvc.add_file(root, Path("raw"))
    with dvc.open_repo(root) as repo:
        repo.status()
        repo.gc(workspace=True, force=True)
    return root


def list_noted(folder: Path) -> list[Path]:
    """Returns the files that hold the name."""
    return [path for path in folder.rglob("*") if path.is_file() and NAME.encode() in path.read_bytes()]


def test_names_that_dvc_keeps_after_every_gc_go_and_dvc_goes_on(root: Path, tmp_path: Path) -> None:
    (tmp_path / f"{PREFIX}left").mkdir()
    (tmp_path / f"{PREFIX}left/lock").touch()
    # of a work tree that is gone, and half removed by a killed call
    for name in ("0123", "gone-4567/89ab"):
        (root / STATE / "dvc/repo" / name).mkdir(parents=True)
    assert list_noted(root / STATE / "dvc") != []
    for _ in range(2):
        erase_traces(root)
        assert [path for path in (root / STATE / "dvc").rglob("*") if path.is_file()] == []
    assert not (tmp_path / f"{PREFIX}left").exists()
    assert not (root / STATE / "dvc/repo/0123").exists()
    with dvc.open_repo(root) as repo:
        assert repo.status() == {}
    (root / "raw" / NAME).write_bytes(b"another")
    with dvc.open_repo(root) as repo:
        assert repo.status() != {}


def test_site_cache_that_others_share_loses_this_clones_part_alone(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared"
    monkeypatch.setenv(SITE, str(shared))
    make_clone(tmp_path / "other")
    others = {*list_noted(shared)}
    with dvc.open_repo(root) as repo:
        repo.status()
    assert {*list_noted(shared)} > others
    with monkeypatch.context() as patch:
        patch.setattr("tasks.tools.dvc_traces.shutil.rmtree", die)
        with pytest.raises(KeyboardInterrupt):
            erase_traces(root)
    # another clone's call has been killed, too
    (shared / "repo/gone-0123-4567/0123").mkdir(parents=True)
    erase_traces(root)
    assert {*list_noted(shared)} == others != set()
    assert [path.name for path in shared.rglob("gone-*")] == ["gone-0123-4567"]


def die(*_: object) -> None:
    raise KeyboardInterrupt


def test_work_tree_in_use_keeps_what_dvc_has_noted_of_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noted = root / STATE / "dvc/repo/0123"
    noted.mkdir()
    with hold_folder(root / STATE, "worktree-"):
        erase_traces(root)
        assert noted.exists()
    # one that is made at this moment has noted nothing yet, and what it notes then is not looked for
    (root / STATE / "worktree-new").mkdir()
    later = noted.with_name("4567")

    def look(root: Path) -> bool:
        later.mkdir()
        return has_worktrees(root)

    monkeypatch.setattr(traces, "has_worktrees", look)
    erase_traces(root)
    assert (noted.exists(), later.exists()) == (False, True)


def test_dvc_at_work_is_waited_for_by_another_try(root: Path) -> None:
    with dvc.open_repo(root) as repo, repo.lock, pytest.raises(DvcRefusalError, match=r"^DVC failed in .*lock"):
        erase_traces(root)
    assert list_noted(root / STATE / "dvc") != []
