"""The chain of receipts on a git remote that several clones share, which are each at another point."""

import os
import shutil
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from amun.core.errors import AmunError, InputError
from amun.core.paths import RECEIPT_CHAIN, RECEIPT_KEY, SECRET
from amun.ledger import Ledger
from amun.receipts.chain import find_break, parse_chain
from amun.vault.vault import Vault
from tasks.tools.git import EMAIL, commit_paths, run_git
from tasks.workspace import erasing, receipt_chain, upstream
from tasks.workspace.receipt_check import find_chain_faults
from tasks.workspace.receipts import Kept, keep_receipts
from tasks.workspace.workspace import Workspace, open_workspace
from tests.amun.ledger.helpers import MODEL
from tests.amun.shipped import ROOT
from tests.die import wrap
from tests.flows.cli.test_erase import forget, vault
from tests.flows.cli.test_requests import ledger

__all__ = ["ledger", "vault"]

CHAIN = str(RECEIPT_CHAIN)


@pytest.fixture
def clones(ledger: Ledger, vault: Vault, tmp_path: Path) -> tuple[Workspace, Workspace]:
    """The workspace in the current folder and another clone, which share ledger, keys and a git remote."""
    assert ledger.name
    assert vault.store.is_made()
    for name in (".gitignore", "dvc.yaml"):
        shutil.copy(ROOT / name, Path())
    commit_paths(Path(), [".gitignore", "dvc.yaml", "params.yaml"], "as in any clone")
    run_git(Path(), "branch", "--force", "--move", "main")
    company = tmp_path / "company"
    run_git(tmp_path, "init", "--quiet", "--bare", "--initial-branch", "main", str(company))
    run_git(Path(), "remote", "add", "company", str(company))
    run_git(Path(), "push", "--quiet", "company", "main")
    run_git(tmp_path, "clone", "--quiet", "--origin", "company", str(company), str(tmp_path / "second"))
    first = open_workspace(Path())
    second = Workspace(tmp_path / "second", first.params)
    RECEIPT_KEY.parent.mkdir(exist_ok=True)
    for root in (first.root, second.root):
        run_git(root, "config", "amun.remote", "company")
        (root / SECRET).parent.mkdir(exist_ok=True)
    shutil.copy(SECRET, second.root / SECRET)
    return first, second


def keep(workspace: Workspace) -> str:
    """Issues and sends what is missing, in this clone, which has the signing key if there is one."""
    for root in (Path(), workspace.root):
        if RECEIPT_KEY.exists() and not (root / RECEIPT_KEY).exists():
            shutil.copy(RECEIPT_KEY, root / RECEIPT_KEY)
    return keep_receipts(workspace, datetime.now(UTC)).unsent


def erase(ledger: Ledger, workspace: Workspace, person: str, patch: pytest.MonkeyPatch) -> str:
    """Returns the request under which this person is erased; the receipt waits."""
    (request,) = forget(ledger, person)
    with patch.context() as without:
        without.setattr(erasing, "keep_receipts", lambda *_: Kept())
        erasing.erase(workspace)
    return request


def commit_own(workspace: Workspace, name: str) -> None:
    """Commits something of somebody's own."""
    (workspace.root / name).write_text("mine", encoding="ascii")
    run_git(workspace.root, "add", name)
    run_git(workspace.root, "-c", "user.name=me", "commit", "--quiet", "--author=me <me@localhost>", "--message", name)


def assert_sent(ledger: Ledger, count: int) -> None:
    """Checks that the remote has the whole chain, and that the ledger knows a commit of each entry."""
    receipts = ledger.list_receipts(MODEL)
    entries = [receipt.entry for receipt in receipts]
    company = Path().resolve().parent / "company"
    assert parse_chain(run_git(company, "show", f"main:{CHAIN}"), CHAIN) == entries
    assert (len(entries), find_break(entries, MODEL)) == (count, "")
    for receipt in receipts:
        assert receipt.commit is not None
        assert run_git(company, "branch", "--contains", receipt.commit, "--format=%(refname:short)") == "main"


def test_chain_goes_on_top_of_what_others_have_sent(
    ledger: Ledger, clones: tuple[Workspace, Workspace], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = clones
    commit_own(second, "theirs")
    run_git(second.root, "push", "--quiet", "company", "main")
    erase(ledger, first, "heavy", monkeypatch)
    Path("dirty").write_text("mine", encoding="ascii")
    assert keep(first) == ""
    assert_sent(ledger, 1)
    assert (first.root / "theirs").exists()
    assert run_git(first.root, "log", "-1", "--format=%ae %s") == f"{EMAIL} {MODEL}: 1 receipt of erasure"
    # the other clone goes on in the same chain
    erase(ledger, first, "00042", monkeypatch)
    assert keep(second) == ""
    assert_sent(ledger, 2)
    assert keep(first) == ""
    assert run_git(first.root, "rev-list", "--count", "HEAD..company/main") == "0"
    assert find_chain_faults(second) == []


def test_remote_that_is_away_gets_the_chain_later(
    ledger: Ledger, clones: tuple[Workspace, Workspace], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = clones
    company = first.root.parent / "company"
    hook = company / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n", encoding="ascii")
    hook.chmod(0o755)
    erase(ledger, first, "heavy", monkeypatch)
    with pytest.raises(AmunError, match="the git remote company did not take main"):
        keep(first)
    assert [receipt.commit for receipt in ledger.list_receipts(MODEL)] == [None]
    hook.unlink()
    # meanwhile another clone has sent the same receipt, and one of its own
    erase(ledger, first, "00042", monkeypatch)
    assert keep(second) == ""
    assert_sent(ledger, 2)
    erase(ledger, first, "guest-1", monkeypatch)
    assert keep(first) == ""
    assert_sent(ledger, 3)
    assert find_chain_faults(first) == []
    company.rename(first.root.parent / "away")
    erase(ledger, first, "guest-2", monkeypatch)
    with pytest.raises(AmunError):
        keep(first)
    (first.root.parent / "away").rename(company)
    assert keep(first) == ""
    assert_sent(ledger, 4)


def test_whoever_is_faster_is_followed(
    ledger: Ledger, clones: tuple[Workspace, Workspace], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = clones
    erase(ledger, first, "heavy", monkeypatch)
    tries = []

    def push(root: Path, *arguments: Any) -> bool:
        tries.append(root)
        if len(tries) == 1:
            commit_own(second, "theirs")
            run_git(second.root, "push", "--quiet", "company", "main")
        return upstream.push(root, *arguments)

    monkeypatch.setattr(receipt_chain, "push", push)
    assert keep(first) == ""
    assert len(tries) == 2
    assert_sent(ledger, 1)


def test_branch_that_has_diverged_is_told_and_left(
    ledger: Ledger, clones: tuple[Workspace, Workspace], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = clones
    commit_own(second, "theirs")
    run_git(second.root, "push", "--quiet", "company", "main")
    commit_own(first, "mine")
    head = run_git(first.root, "rev-parse", "HEAD")
    erase(ledger, first, "heavy", monkeypatch)
    with pytest.raises(InputError, match="have diverged"):
        keep(first)
    assert run_git(first.root, "rev-parse", "HEAD") == head
    assert len(ledger.list_receipts(MODEL)) == 1
    run_git(first.root, "rebase", "--quiet", "company/main")
    assert keep(first) == ""
    assert_sent(ledger, 1)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_around_the_push_the_next_call_ends_it(
    moment: str, ledger: Ledger, clones: tuple[Workspace, Workspace], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = clones
    erase(ledger, first, "heavy", monkeypatch)
    keep(first)
    erase(ledger, first, "00042", monkeypatch)
    if not (child := os.fork()):
        wrap("tasks.workspace.receipt_chain:push", moment)
        keep_receipts(first, datetime.now(UTC))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert [receipt.commit is None for receipt in ledger.list_receipts(MODEL)] == [False, True]
    assert keep(first) == ""
    assert_sent(ledger, 2)
    assert run_git(first.root, "rev-list", "--count", "HEAD", "--", CHAIN) == "2"
