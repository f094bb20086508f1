"""DVC's settings are written whole, in whatever letters, and DVC reads what was written."""

from pathlib import Path

import pytest

from tasks.tools.dvc import has_remote, open_repo, set_remote, share_cache, unset_remote
from tasks.tools.dvc_settings import SHARED, edit_settings
from tasks.tools.git import run_git

SETTINGS = """\
# kept by us
[core]
    analytics = false
    autostage = false # here as well
['remote "own"']
    url = s3://elsewhere/data
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A DVC repository below a folder with a blank and letters beyond ASCII."""
    return make_repository(tmp_path / "Räume für Ж")


def make_repository(root: Path) -> Path:
    (root / ".dvc").mkdir(parents=True)
    run_git(root, "init", "--quiet")
    (root / SHARED).write_text(SETTINGS, encoding="utf-8")
    return root


@pytest.mark.parametrize("name", ["remote", "Ablage für Ж", "a, b # c = 'd'"])
def test_remote_is_what_was_named_and_all_else_stays(name: str, root: Path) -> None:
    folder = str(root / name)
    for _ in range(2):
        before = (root / SHARED).stat().st_ino
        set_remote(root, folder)
        assert (root / SHARED).stat().st_ino != before, "a file that is written in one piece is a new one"
        with open_repo(root) as repo:
            assert repo.config["core"] | {"remote": "storage", "autostage": False} == repo.config["core"]
            assert (
                repo.config["remote"]["storage"] | {"url": folder, "verify": True} == repo.config["remote"]["storage"]
            )
            assert repo.config["remote"]["own"]["url"] == "s3://elsewhere/data"
    text = (root / SHARED).read_text(encoding="utf-8")
    assert "# kept by us" in text
    assert "# here as well" in text
    assert (text.count("remote = storage"), has_remote(root)) == (1, True)
    unset_remote(root)
    assert not has_remote(root)


def test_cache_is_shared_below_any_folder(root: Path) -> None:
    other = make_repository(root / "wörktree")
    share_cache(root, other)
    with open_repo(root) as repo, open_repo(other) as sharing:
        assert sharing.cache.local_cache_dir == repo.cache.local_cache_dir


def test_failure_leaves_the_settings_as_they_were(root: Path) -> None:
    with pytest.raises(KeyError), edit_settings(root / SHARED) as settings:
        settings["core"].update(remote=settings["nowhere"])
    assert (root / SHARED).read_text(encoding="utf-8") == SETTINGS
