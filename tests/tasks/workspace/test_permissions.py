"""What is not the owner's in a workspace is told, with the command that gives it back; nothing is walked to its end."""

import os
from pathlib import Path

import pytest
from dvc.repo import Repo

from amun.core.keys import create_secret
from amun.core.params import read_params
from amun.core.paths import SECRET
from flows.findings import judge_owner
from tasks.tools.git import run_git
from tasks.workspace.permissions import find_wrong_permissions
from tasks.workspace.workspace import Workspace
from tests.workspaces import ROOT

STRANGER = 54321


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    run_git(tmp_path, "init", "--quiet")
    Repo.init(str(tmp_path)).close()
    create_secret(tmp_path)
    (tmp_path / ".dvc/cache/files/md5/aa").mkdir(parents=True)
    return Workspace(tmp_path, read_params(ROOT / "params.yaml"))


def test_workspace_of_one_owner_has_no_fault(workspace: Workspace) -> None:
    assert list(find_wrong_permissions(workspace)) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives a file away")
@pytest.mark.parametrize(
    ("path", "folder"),
    [
        (".amun/ledger.db", ".amun"),
        (".git/objects/aa/bb", ".git"),
        (".dvc/tmp/lock", ".dvc"),
        (".dvc/cache/files/md5/aa/bb", ".dvc/cache/files/md5"),
        ("params.yaml", ""),
    ],
)
def test_file_of_another_user_is_told(path: str, folder: str, workspace: Workspace) -> None:
    (workspace.root / path).parent.mkdir(exist_ok=True)
    (workspace.root / path).touch()
    os.chown(workspace.root / path, STRANGER, -1)
    (fault,) = find_wrong_permissions(workspace)
    where = workspace.root / folder
    assert fault.what == (
        f"1 file or folder in {where} belongs to user {STRANGER}, not to root; the first one is {workspace.root / path}"
    )
    assert f"chown --recursive --no-dereference 0 {where}" in fault.remedy
    assert fault.mend is None


def test_secret_that_others_may_read_is_taken_from_them(workspace: Workspace) -> None:
    secret = workspace.root / SECRET
    secret.chmod(0o644)
    (fault,) = find_wrong_permissions(workspace)
    assert "has mode 644: others may read the key of all ids" in fault.what
    assert fault.mend is not None
    fault.mend()
    assert secret.stat().st_mode & 0o777 == 0o600
    assert list(find_wrong_permissions(workspace)) == []


def test_folder_that_nobody_may_write_to_is_told(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    # as it is for everybody on a disk that was mounted for reading alone
    state = workspace.root / ".amun"
    monkeypatch.setattr("os.access", lambda path, _mode: Path(path) != state)
    (fault,) = find_wrong_permissions(workspace)
    assert fault.what == f"{state} cannot be written to"


def test_whoever_may_not_write_in_the_workspace_is_told_so_elsewhere_and_once(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda _path, _mode: False)
    assert list(find_wrong_permissions(workspace)) == []
    assert len(list(judge_owner(workspace))) == 1
