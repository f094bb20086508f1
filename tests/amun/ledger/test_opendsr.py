"""Requests of privacy suites: who may cancel what, and what they are told of a person's request."""


import pytest

from amun.ledger import Demand, Ledger
from amun.ledger.opendsr import DsrDemand
from tests.amun.ledger.helpers import NOW, build_base

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
    assert suites.find_dsr("b", f"{ID}0") is suites.cancel_dsr("b", f"{ID}0", now=NOW) is None
