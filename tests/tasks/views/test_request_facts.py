"""The rules of a wave as the record of a request has them: as far as its commit has any."""

from datetime import timedelta
from pathlib import Path

import pytest

from amun.core.errors import AmunError
from amun.core.paths import PARAMS, POWER_METRICS, WAVE
from amun.ledger import Demand, IssuedReceipt, Ledger
from tasks.tools.git import commit_paths, run_git
from tasks.views.request_facts import (
    Event,
    Thresholds,
    _list_delays,
    _list_events,
    _list_receipt_events,
    read_thresholds,
)
from tasks.views.wave_rules import Bounds, GateRules, read_bounds
from tests.amun.ledger.helpers import build_base
from tests.amun.receipts.bodies import MODEL, make_chain
from tests.flows.pages.reports import NOW, make_wave

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
    assert found == Thresholds(GateRules(0.02, 0.1, None, None, 0), commit, found.author, found.changed_at)
    (root / PARAMS).write_text(RULES.replace("max_trace", "pool_samples: 300, max_trace"), encoding="ascii")
    earlier = read_thresholds(root, commit_paths(root, [str(PARAMS)], "rules of 0.1"))
    assert earlier is not None
    assert earlier.rules.pool_samples == 300


def test_without_rules_or_commit_none_are_told(root: Path) -> None:
    for commit in (run_git(root, "rev-parse", "HEAD"), "1" * 40, None):
        assert read_thresholds(root, commit) is None


def test_bounds_are_what_the_wave_recorded(root: Path) -> None:
    """The yardstick follows the line of descent, and exact retraining forgives what it would lose itself."""
    (root / PARAMS).write_text(RULES, encoding="ascii")
    (root / "wave").mkdir()
    (root / "metrics").mkdir()
    commits = []
    for yardstick, night in (
        ("0.97", '{"num_people": 12, "num_held_out_people": 40, "expected_accuracy": 0.96}'),
        ("null", '{"num_people": 3}'),
    ):
        (root / WAVE).write_text(f'{{"yardstick": {yardstick}}}', encoding="ascii")
        (root / POWER_METRICS).write_text(night, encoding="ascii")
        commits.append(commit_paths(root, [str(path) for path in (PARAMS, WAVE, POWER_METRICS)], "a wave"))
    rules = GateRules(0.02, 0.1, None, None)
    waves = [make_wave(number, NOW, commit=commit) for number, commit in enumerate([*commits, "1" * 40, None])]
    found = read_bounds(root, waves)
    assert found == {0: Bounds(rules, 0.96 - 0.02, 12, 40), 1: Bounds(rules, None, 3)}
    (root / POWER_METRICS).write_text("half", encoding="ascii")
    damaged = make_wave(4, NOW, commit=commit_paths(root, [str(POWER_METRICS)], "damaged"))
    with pytest.raises(AmunError, match="is damaged"):
        read_bounds(root, [damaged])


def test_receipt_is_told_until_and_after_its_retention() -> None:
    (entry,), _ = make_chain(1)
    issued = Event(entry.issued_at, "a receipt was issued, number 1 of the chain")
    later = entry.issued_at + timedelta(days=9)
    assert list(_list_receipt_events(None)) == []
    assert list(_list_receipt_events(IssuedReceipt("R-000001", MODEL, entry, True, None, None))) == [issued]
    (first, second) = _list_receipt_events(IssuedReceipt("R-000001", MODEL, entry, False, later, None))
    assert (first, second.at, "was destroyed" in second.what) == (issued, later, True)


def test_hold_that_something_else_has_ended_is_not_told_as_released(tmp_path: Path) -> None:
    first, then = NOW + timedelta(days=1), NOW + timedelta(days=2)
    kept = "kept back until"
    with Ledger.create(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        build_base(ledger, ["ann", "ben", "joe", "eve"])
        people = ("ann", "ben", "joe", "zoe")
        ledger.add_demands([Demand(name, is_verified=False) for name in people], now=NOW)
        ledger.add_demands([Demand("eve", num_approvals=1)], now=NOW)
        ledger.deny_request("R-000001", "x", now=first)
        ledger.withdraw_request("R-000002", now=first)
        ledger.release_request("R-000003", now=first)
        ledger.confirm_requests(["R-000004"], now=first)
        ledger.hold_request("R-000005", "x", now=first)
        ledger.release_request("R-000005", now=then)
        ledger.approve_request("R-000005", "Ida", now=then)
        found = {
            request.subject_id: [event.what for event in _list_delays(request) if kept not in event.what]
            for request in ledger.list_requests()
        }
    assert found == {
        "ann": ["denied: x"],
        "ben": [],
        "joe": ["known to be the person's"],
        "zoe": [],
        "eve": ["kept back by a legal hold: x", "released from the hold", "approved"],
    }


def test_page_of_a_denied_request_tells_what_other_models_had_answered(tmp_path: Path) -> None:
    with Ledger.create(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        build_base(ledger, ["ann"])
        build_base(ledger, ["ben"], model="second")
        ledger.add_requests(["ann"], received_at=None, now=NOW)
        request = ledger.deny_request("R-000001", "x", now=NOW)
    found = [[event.what for event in _list_events(request, outcome, None)] for outcome in request.outcomes]
    assert found == [["received", "denied: x"], ["received", "denied: x", "nothing held"]]
