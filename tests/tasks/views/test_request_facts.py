"""The rules of a wave as the record of a request has them: as far as its commit has any."""

from datetime import timedelta
from pathlib import Path

import pytest

from amun.core.paths import PARAMS
from amun.ledger import IssuedReceipt
from tasks.tools.git import commit_paths, run_git
from tasks.views.request_facts import Event, _list_receipt_events, read_thresholds
from tests.amun.receipts.bodies import MODEL, make_chain

RULES = "gate: {max_accuracy_drop: 0.02, auc_margin: 0.1, max_trace: null}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository whose first commit has no parameters."""
    run_git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    (tmp_path / "a").write_text("a", encoding="ascii")
    run_git(tmp_path, "add", "a")
    run_git(tmp_path, "commit", "--quiet", "--message", "first")
    return tmp_path


def test_rules_are_those_of_the_commit(root: Path) -> None:
    (root / PARAMS).write_text(RULES, encoding="ascii")
    commit = commit_paths(root, [str(PARAMS)], "rules")
    found = read_thresholds(root, commit)
    assert found is not None
    assert (found.max_accuracy_drop, found.auc_margin, found.max_trace, found.commit) == (0.02, 0.1, None, commit)
    assert found.pool_samples == 0
    (root / PARAMS).write_text(RULES.replace("max_trace", "pool_samples: 300, max_trace"), encoding="ascii")
    earlier = read_thresholds(root, commit_paths(root, [str(PARAMS)], "rules of 0.1"))
    assert earlier is not None
    assert earlier.pool_samples == 300


def test_without_rules_or_commit_none_are_told(root: Path) -> None:
    for commit in (run_git(root, "rev-parse", "HEAD"), "1" * 40, None):
        assert read_thresholds(root, commit) is None


def test_receipt_is_told_until_and_after_its_retention() -> None:
    (entry,), _ = make_chain(1)
    issued = Event(entry.issued_at, "a receipt was issued, number 1 of the chain")
    later = entry.issued_at + timedelta(days=9)
    assert list(_list_receipt_events(None)) == []
    assert list(_list_receipt_events(IssuedReceipt("R-000001", MODEL, entry, True, None, None))) == [issued]
    (first, second) = _list_receipt_events(IssuedReceipt("R-000001", MODEL, entry, False, later, None))
    assert (first, second.at, "was destroyed" in second.what) == (issued, later, True)
