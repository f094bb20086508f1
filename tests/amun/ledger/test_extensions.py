"""By when a request is due by its law, and how that is put off once."""

import tempfile
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from amun.core.errors import InputError
from amun.ledger import Demand, Extension, Ledger
from amun.ledger.laws import Law, check_law, compute_due, compute_extended_due
from amun.ledger.records import HoldKind
from tests.amun.ledger.helpers import MODEL, NOW, build_base, claim_wave, complete_wave

DUE, DAY = datetime(2026, 2, 28, 9, 30, tzinfo=UTC), timedelta(days=1)


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


def test_hold_counts_for_an_extension_where_its_clock_stood_still(ledger: Ledger) -> None:
    build_base(ledger, ["ann", "ben"])
    ledger.add_demands([Demand("ann", NOW, law="ccpa"), Demand("ben", NOW)], now=NOW)
    for request_id in ("R-000001", "R-000002"):
        hold(ledger, request_id, 1, 6)
    # by the CCPA the clock ran on; that the request runs by the GDPR since changes nothing of that
    later = NOW + 5 * DAY
    ledger.add_demands([Demand("ann", later)], now=NOW + 6 * DAY)
    request = ledger.get_request("R-000001")
    assert (request.law, request.due_at) == ("gdpr", compute_due(later))
    ends = [ledger.extend_request(f"R-00000{number}", "why", now=NOW + 13 * DAY).due_at for number in (1, 2)]
    assert ends == [NOW + 90 * DAY, compute_extended_due(NOW, "gdpr") + 5 * DAY]


@pytest.mark.parametrize("is_hastened", [False, True])
def test_hold_after_a_later_demand_counts_for_an_extension(ledger: Ledger, *, is_hastened: bool) -> None:
    build_base(ledger, ["ann"])
    ledger.add_demands([Demand("ann", NOW)], now=NOW)
    hold(ledger, "R-000001", 1, 11)
    first, letter = compute_extended_due(NOW, "gdpr") + 10 * DAY, NOW + 5 * DAY
    if is_hastened:
        ledger.add_demands([Demand("ann", letter)], now=NOW + 12 * DAY)
    hold(ledger, "R-000001", 13, 93)
    before = ledger.get_request("R-000001").due_at
    assert before == (compute_due(letter) if is_hastened else DUE + 10 * DAY) + 80 * DAY
    extended = ledger.extend_request("R-000001", "why", now=NOW + 94 * DAY).due_at
    assert extended == (compute_extended_due(letter, "gdpr") if is_hastened else first) + 80 * DAY


def test_extended_term_of_no_demand_is_passed(ledger: Ledger) -> None:
    build_base(ledger, ["ann", "ben"])
    received = NOW - 10 * DAY
    ledger.add_demands([Demand("ann", NOW), Demand("ben", NOW), Demand("ben", received, law="ccpa")], now=NOW)
    # its first term ends later, its extended one sooner
    ledger.add_demands([Demand("ann", received, law="ccpa")], now=NOW)
    for request_id in ("R-000001", "R-000002"):
        request = ledger.get_request(request_id)
        assert (request.due_at, request.law) == (DUE, "gdpr")
        assert ledger.extend_request(request_id, "why", now=NOW).due_at == received + 90 * DAY


STEPS = st.one_of(
    st.tuples(st.just("demand"), st.integers(0, 40), st.sampled_from(get_args(Law))),
    st.tuples(st.just("hold"), st.integers(1, 90), st.booleans()),
)


@example(law="gdpr", steps=[("hold", 10, True), ("demand", 6, "gdpr"), ("hold", 80, True)])
@settings(max_examples=25, deadline=None)
@given(law=st.sampled_from(get_args(Law)), steps=st.lists(STEPS, max_size=5))
def test_extension_never_brings_a_due_date_forward(law: Law, steps: list[tuple[str, int, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder, Ledger.create(f"sqlite:///{folder}/ledger.db") as ledger:
        build_base(ledger, ["ann"])
        ledger.add_demands([Demand("ann", NOW, law=law)], now=NOW)
        day = 0
        for kind, days, option in steps:
            if kind == "hold":
                hold(ledger, "R-000001", day, day + days, "identity" if option else "legal")
                day += days
            else:
                day += 1
                ledger.add_demands([Demand("ann", NOW + max(day - days, 0) * DAY, law=option)], now=NOW + day * DAY)
        request, now = ledger.get_request("R-000001"), NOW + day * DAY
        if now <= request.due_at:
            assert ledger.extend_request("R-000001", "why", now=now).due_at > request.due_at


def hold(ledger: Ledger, request_id: str, first: int, last: int, kind: HoldKind = "identity") -> None:
    """Holds a request from one day after `NOW` to another."""
    ledger.hold_request(request_id, "who asks?", now=NOW + first * DAY, kind=kind)
    ledger.release_request(request_id, now=NOW + last * DAY)
