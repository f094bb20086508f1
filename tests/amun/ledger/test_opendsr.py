"""Requests of privacy suites: who may cancel what, and what they are told of a person's request."""

from datetime import timedelta

import pytest

from amun.ledger import Demand, Ledger
from amun.ledger.opendsr import Callback, DsrDemand
from tests.amun.ledger.helpers import MODEL, NOW, build_base, claim_wave, complete_wave

ID = "a7551968-d5d6-44b2-9831-815ac9017798"


@pytest.fixture
def suites(ledger: Ledger) -> Ledger:
    """A ledger with two suites, whose model holds two people."""
    build_base(ledger, ["ann", "ben"])
    for token in ("a", "b"):
        ledger.add_token(token, ["requests:write"], NOW)
    return ledger


def ask(ledger: Ledger, token: str, number: str = ID, person: str = "ann") -> str:
    """Returns the request that a suite's demand stands under."""
    return ledger.take_dsr(Demand(person), DsrDemand(number, token, "digest", ["https://x/"]), now=NOW).request_id


def cancel(ledger: Ledger, token: str, number: str = ID) -> tuple[str, str]:
    """Returns what a suite is told, and where the person's request stands."""
    dsr = ledger.cancel_dsr(token, number, now=NOW)
    assert dsr is not None
    return dsr.status, ledger.get_request(dsr.request_id).outcomes[0].state


def test_request_is_withdrawn_once_everybody_who_asked_has_cancelled(suites: Ledger) -> None:
    assert [ask(suites, "a"), ask(suites, "b"), ask(suites, "a")] == ["R-000001"] * 3
    # of one name, and two senders
    assert cancel(suites, "a") == ("cancelled", "pending")
    assert cancel(suites, "b") == ("cancelled", "withdrawn")
    # the company asks as well, before and after
    for number, is_first in enumerate((True, False)):
        for asks in (suites.add_requests, ask) if is_first else (ask, suites.add_requests):
            if asks is ask:
                ask(suites, "a", f"{ID}{number}", "ben")
            else:
                suites.add_requests(["ben"], received_at=None, now=NOW)
        assert cancel(suites, "a", f"{ID}{number}") == ("cancelled", "pending")
        suites.withdraw_request(suites.requests_of_subject("ben")[-1].request_id, now=NOW)
    assert suites.find_dsr("b", f"{ID}0", now=NOW) is suites.cancel_dsr("b", f"{ID}0", now=NOW) is None


def test_demand_that_an_earlier_request_does_a_part_of_is_cancelled_there_too(suites: Ledger) -> None:
    ask(suites, "a")
    build_base(suites, ["ben"], model="second")
    assert ask(suites, "b") == "R-000002"
    # the second model holds nothing, and the first is still to forget the person
    assert cancel(suites, "b") == ("cancelled", "nothing_held")
    assert cancel(suites, "a") == ("cancelled", "withdrawn")


def tell(ledger: Ledger, number: str = ID) -> str:
    """Returns the status that suite `a` is told."""
    dsr = ledger.find_dsr("a", number, now=NOW)
    assert dsr is not None
    return dsr.status


def erase(ledger: Ledger, request_id: str) -> None:
    ledger.record_destroyed(MODEL, [request_id], NOW)
    ledger.finish_erasures(MODEL, [request_id], NOW)


def test_nobody_is_told_completed_of_who_was_forgotten_before_and_is_not_erased(suites: Ledger) -> None:
    suites.add_requests(["ann"], received_at=None, now=NOW)
    complete_wave(suites, claim_wave(suites), erase_after=NOW + timedelta(days=7))
    assert ask(suites, "a") == "R-000002"
    assert tell(suites) == "in_progress"
    erase(suites, "R-000001")
    assert tell(suites) == "completed"


def test_what_is_denied_or_withdrawn_for_one_model_is_not_completed(suites: Ledger) -> None:
    build_base(suites, ["ben"], model="second")
    ask(suites, "a")
    suites.deny_request("R-000001", "no", now=NOW)
    assert [outcome.state for outcome in suites.get_request("R-000001").outcomes] == ["denied", "nothing_held"]
    assert tell(suites) == "cancelled"
    # one model has forgotten the person, the other holds them still
    ask(suites, "a", f"{ID}2", "ben")
    complete_wave(suites, claim_wave(suites))
    assert tell(suites, f"{ID}2") == "in_progress"
    suites.withdraw_request("R-000002", now=NOW)
    assert tell(suites, f"{ID}2") == "cancelled"


def test_part_that_stands_under_an_earlier_request_counts(suites: Ledger) -> None:
    suites.add_requests(["ann"], received_at=None, now=NOW)
    build_base(suites, ["ann"], model="second")
    assert ask(suites, "a") == "R-000002"
    complete_wave(suites, claim_wave(suites, model="second"))
    assert [outcome.state for outcome in suites.get_request("R-000002").outcomes] == ["completed"]
    assert tell(suites) == "in_progress"
    complete_wave(suites, claim_wave(suites))
    assert tell(suites) == "completed"


def test_due_date_is_told_as_it_is_while_the_clock_stands_still(suites: Ledger) -> None:
    ask(suites, "a")
    suites.hold_request("R-000001", "who is it?", now=NOW, kind="identity")
    later = NOW + timedelta(days=40)
    dsr = suites.find_dsr("a", ID, now=later)
    assert dsr is not None
    assert dsr.due_at == suites.get_request("R-000001").due_at + timedelta(days=40)


def settle(suites: Ledger, callback: Callback) -> None:
    assert suites.claim_callback(callback, NOW)
    suites.settle_callback(callback, NOW, is_told=True)


def test_who_was_told_completed_is_told_of_a_rollback(suites: Ledger) -> None:
    ask(suites, "a")
    complete_wave(suites, claim_wave(suites))
    (first,) = suites.list_callbacks(NOW)
    settle(suites, first)
    assert (first.dsr.status, suites.has_callbacks()) == ("completed", False)
    ask(suites, "b")
    for one in suites.list_callbacks(NOW):
        settle(suites, one)
    suites.begin_rollback(
        MODEL, from_version="7", to_version="6", undone_waves=[1], reason="x", holder="elsewhere", now=NOW
    )
    suites.finish_rollback(claim_wave(suites), [], NOW)
    # whoever asked for a person that was forgotten before, too
    told = suites.list_callbacks(NOW)
    assert [(one.dsr.token, one.dsr.status) for one in told] == [("a", "in_progress"), ("b", "in_progress")]
