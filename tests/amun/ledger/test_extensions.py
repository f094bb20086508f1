"""By when a request is due by its law, and how that is put off once."""

from datetime import UTC, datetime, timedelta

import pytest

from amun.core.errors import InputError
from amun.ledger import Demand, Extension, Ledger
from amun.ledger.laws import Law, check_law, compute_due, compute_extended_due
from tests.amun.ledger.helpers import MODEL, NOW, build_base, claim_wave, complete_wave

DUE = datetime(2026, 2, 28, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("law", "received", "due", "extended"),
    [
        ("gdpr", "2026-01-31", "2026-02-28", "2026-04-30"),
        ("gdpr", "2023-12-31", "2024-01-31", "2024-03-31"),
        ("gdpr", "2024-01-30", "2024-02-29", "2024-04-30"),
        ("ccpa", "2026-01-31", "2026-03-17", "2026-05-01"),
        ("ccpa", "2024-01-01", "2024-02-15", "2024-03-31"),
    ],
)
def test_terms_of_the_laws(law: Law, received: str, due: str, extended: str) -> None:
    at = datetime.fromisoformat(received).replace(tzinfo=UTC)
    assert compute_due(at, law).date().isoformat() == due
    assert compute_extended_due(at, law).date().isoformat() == extended


def test_law_is_one_that_is_known() -> None:
    assert [check_law(text) for text in ("", " ", "GDPR", " ccpa ")] == ["gdpr", "gdpr", "gdpr", "ccpa"]
    with pytest.raises(InputError, match="'lgpd' is no law whose clock is known; there are gdpr, ccpa"):
        check_law("lgpd")


def make_request(ledger: Ledger, law: Law = "gdpr", subject: str = "ann") -> str:
    build_base(ledger, ["ann"])
    (added,) = ledger.add_demands([Demand(subject, NOW, law=law)], now=NOW)
    return added.request_id


def test_due_date_is_put_off_once(ledger: Ledger) -> None:
    request_id = make_request(ledger)
    at = NOW + timedelta(days=3)
    extended = ledger.extend_request(request_id, "many names", now=at)
    assert extended == ledger.get_request(request_id)
    assert extended.extension == Extension("many names", at, DUE)
    assert extended.due_at == datetime(2026, 4, 30, 9, 30, tzinfo=UTC)
    assert extended.term.startswith("extended by two months")
    with pytest.raises(InputError, match="extended already, to 2026-04-30: many names"):
        ledger.extend_request(request_id, "again", now=at)
    status = ledger.count_status(MODEL, DUE + timedelta(days=1))
    assert (status.overdue, status.next_due) == (0, extended.due_at)


def test_each_request_has_its_own_clock(ledger: Ledger) -> None:
    request = ledger.get_request(make_request(ledger, "ccpa"))
    assert (request.law, request.due_at) == ("ccpa", NOW + timedelta(days=45))
    assert ledger.extend_request(request.request_id, "why", now=NOW).due_at == NOW + timedelta(days=90)


def test_who_asks_again_is_due_as_the_first_time(ledger: Ledger) -> None:
    request_id = make_request(ledger)
    (added,) = ledger.add_demands([Demand("ann", NOW, law="ccpa")], now=NOW)
    assert (added.request_id, added.due_at) == (request_id, DUE)


def test_who_asks_again_by_a_shorter_clock_is_due_by_that(ledger: Ledger) -> None:
    request_id, later = make_request(ledger, "ccpa"), NOW + timedelta(days=3)
    (added,) = ledger.add_demands([Demand("ann", later)], now=later)
    due = compute_due(later)
    assert (added.request_id, added.is_new, added.due_at, added.outcomes[0].due_at) == (request_id, False, due, due)
    request = ledger.get_request(request_id)
    assert (request.law, request.received_at, request.due_at) == ("gdpr", NOW, due)
    assert ledger.count_status(MODEL, due + timedelta(days=1)).overdue == 1
    # what was received before, and is said after
    (added,) = ledger.add_demands([Demand("ann", NOW - timedelta(days=9))], now=later)
    assert added.due_at == ledger.get_request(request_id).due_at == compute_due(NOW - timedelta(days=9))
    assert ledger.extend_request(request_id, "why", now=later).due_at == compute_extended_due(
        NOW - timedelta(days=9), "gdpr"
    )


def test_of_one_persons_demands_together_the_shortest_clock_counts(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    demands = [Demand("ann", NOW, "T-1", "ccpa"), Demand("ann", NOW, "T-2"), Demand("ann", NOW, "T-3", "ccpa")]
    (added,) = ledger.add_demands(demands, now=NOW)
    request = ledger.get_request(added.request_id)
    assert (added.due_at, request.due_at, request.law, request.reference) == (DUE, DUE, "gdpr", "T-1")


def test_extension_holds_for_its_own_law(ledger: Ledger) -> None:
    request_id = make_request(ledger, "ccpa")
    extended = ledger.extend_request(request_id, "many names", now=NOW)
    ledger.add_demands([Demand("ann", NOW, law="ccpa")], now=NOW)
    assert ledger.get_request(request_id) == extended
    (added,) = ledger.add_demands([Demand("ann", NOW)], now=NOW)
    assert added.due_at == ledger.get_request(request_id).due_at == DUE


def test_what_cannot_be_put_off_is_told_and_stays(ledger: Ledger) -> None:
    request_id = make_request(ledger)
    with pytest.raises(InputError, match="a reason is empty"):
        ledger.extend_request(request_id, " ", now=NOW)
    with pytest.raises(InputError, match="was due on 2026-02-28; the person has to be told"):
        ledger.extend_request(request_id, "why", now=DUE + timedelta(seconds=1))
    assert ledger.extend_request(request_id, "why", now=DUE).extension is not None


def test_only_an_open_request_is_put_off(ledger: Ledger) -> None:
    request_id = make_request(ledger)
    ledger.withdraw_request(request_id, now=NOW)
    with pytest.raises(InputError, match="only an open request can be extended"):
        ledger.extend_request(request_id, "why", now=NOW)


def test_a_person_who_is_still_to_be_erased_can_be_put_off(ledger: Ledger) -> None:
    request_id = make_request(ledger)
    complete_wave(ledger, claim_wave(ledger), erase_after=NOW + timedelta(days=7))
    assert ledger.extend_request(request_id, "why", now=NOW).due_at > DUE


def test_extension_while_the_clock_stands_still_counts_that_once(ledger: Ledger) -> None:
    build_base(ledger, ["ann", "ben"])
    ledger.add_demands([Demand("ann", is_verified=False), Demand("ben", is_verified=False)], now=NOW)
    at, then = NOW + timedelta(days=20), NOW + timedelta(days=25)
    plain = compute_extended_due(NOW, "gdpr")
    extended = ledger.extend_request("R-000001", "many names", now=at)
    assert extended.extension == Extension("many names", at, DUE + timedelta(days=20))
    assert extended.find_due(at) == plain + timedelta(days=20)
    assert ledger.release_request("R-000001", now=then).due_at == plain + timedelta(days=25)
    # the clock has not run out, though its date was passed while it stood still
    ledger.extend_request("R-000002", "many names", now=NOW + timedelta(days=40))
    assert ledger.release_request("R-000002", now=NOW + timedelta(days=41)).due_at == plain + timedelta(days=41)
