"""A held request stays out of every wave, is counted apart, and comes back with the dates it had."""

from datetime import timedelta

import pytest

from amun.core.errors import InputError
from amun.ledger import Hold, Ledger
from tests.amun.ledger.helpers import MODEL, NOW, add, build_base, claim_wave, complete_wave, list_states

REASON = "evidence in case 4711"


def test_held_request_is_in_no_wave_and_comes_back_as_it_was(ledger: Ledger) -> None:
    build_base(ledger, ["ann", "bob"])
    add(ledger, "ann", "bob")
    before = ledger.get_request("R-000001")
    held = ledger.hold_request("R-000001", REASON, now=NOW)
    assert held == ledger.get_request("R-000001")
    assert (held.outcomes[0].state, held.holds) == ("held", (Hold(REASON, NOW, None),))
    [answer] = ledger.add_requests(["ann"], received_at=None, now=NOW)
    assert (answer.is_new, answer.request_id, answer.outcomes[0].state) == (False, "R-000001", "held")
    assert ledger.subjects_of_wave(MODEL, claim_wave(ledger).number) == ["bob"]

    later = NOW + timedelta(days=3)
    released = ledger.release_request("R-000001", now=later)
    assert (released.received_at, released.due_at, released.outcomes) == (
        before.received_at,
        before.due_at,
        before.outcomes,
    )
    assert released.holds == (Hold(REASON, NOW, later),)
    assert [request.holds for request in ledger.list_requests()] == [released.holds, ()]


def test_held_request_is_counted_apart(ledger: Ledger) -> None:
    build_base(ledger, ["ann", "bob"])
    add(ledger, "ann", "bob")
    ledger.hold_request("R-000001", REASON, now=NOW)
    due = ledger.get_request("R-000002").due_at
    on_time = ledger.count_status(MODEL, due)
    assert (on_time.pending, on_time.overdue, on_time.held, on_time.held_overdue) == (1, 0, 1, 0)
    late = ledger.count_status(MODEL, due + timedelta(seconds=1))
    assert (late.pending, late.overdue, late.held, late.held_overdue) == (1, 1, 1, 1)
    ledger.withdraw_request("R-000002", now=NOW)
    assert ledger.count_status(MODEL, NOW).next_due is None
    assert ledger.claim_wave(MODEL, kind="deletion", holder="elsewhere", now=NOW, lease_seconds=60) is None


def test_hold_that_cannot_be_is_refused_in_one_line(ledger: Ledger) -> None:
    build_base(ledger, ["ann", "bob"])
    add(ledger, "ann")
    claim = claim_wave(ledger)
    with pytest.raises(InputError, match=f"R-000001 is in wave 1 of model '{MODEL}', which is open"):
        ledger.hold_request("R-000001", REASON, now=NOW)
    with pytest.raises(InputError, match="R-000001 is not held"):
        ledger.release_request("R-000001", now=NOW)
    complete_wave(ledger, claim)
    with pytest.raises(InputError, match=f"R-000001 is completed for {MODEL}; only a pending request"):
        ledger.hold_request("R-000001", REASON, now=NOW)
    add(ledger, "bob")
    for unfit in ("", " ", "two\nlines"):
        with pytest.raises(InputError, match=r"reason .*say in one line why"):
            ledger.hold_request("R-000002", unfit, now=NOW)
    ledger.hold_request("R-000002", REASON, now=NOW)
    with pytest.raises(InputError, match=f"R-000002 is held already: {REASON}"):
        ledger.hold_request("R-000002", "another", now=NOW)
    assert list_states(ledger) == [("R-000001", "completed"), ("R-000002", "held")]


def test_hold_is_for_all_models_or_none(ledger: Ledger) -> None:
    for model in ("first", "second"):
        build_base(ledger, ["ann"], model=model)
    add(ledger, "ann")
    claim = claim_wave(ledger, model="second")
    with pytest.raises(InputError, match="wave 1 of model 'second'"):
        ledger.hold_request("R-000001", REASON, now=NOW)
    complete_wave(ledger, claim)
    ledger.hold_request("R-000001", REASON, now=NOW)
    assert list_states(ledger) == [("R-000001", "held"), ("R-000001", "completed")]


def test_withdrawing_a_held_request_ends_its_hold(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    add(ledger, "ann")
    ledger.hold_request("R-000001", REASON, now=NOW)
    withdrawn = ledger.withdraw_request("R-000001", now=NOW)
    assert (withdrawn.outcomes[0].state, withdrawn.is_held) == ("withdrawn", False)
    assert add(ledger, "ann") == ["R-000002"]
    assert [held.reason for held in ledger.hold_request("R-000002", "another", now=NOW).holds] == ["another"]
