"""One open wave for each model, and no write without its lease."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError

from amun.core.errors import InputError, LeaseLostError
from amun.evidence.attempts import Receipt
from amun.evidence.figures import Comparison
from amun.ledger import Claim, Holding, Ledger, WaveBusy
from tests.amun.ledger.helpers import (
    LATER,
    LEASE_SECONDS,
    MODEL,
    NOW,
    SUMMARY,
    add,
    build_base,
    claim_wave,
    complete_wave,
    list_states,
)

MOMENT = timedelta(microseconds=1)

WRITES: dict[str, Callable[[Ledger, Claim, datetime], None]] = {
    "renew_lease": lambda ledger, claim, now: ledger.renew_lease(claim, now, LEASE_SECONDS),
    "set_attempt": lambda ledger, claim, now: ledger.set_attempt(claim, 3, now),
    "record_holdings": lambda ledger, claim, now: ledger.record_holdings(claim, [Holding("eve", 1, 0)], now),
    "complete_wave": lambda ledger, claim, now: complete_wave(ledger, claim, now=now),
    "park_wave": lambda ledger, claim, now: ledger.park_wave(claim, "gave up", now),
}


def claim_or_not(ledger: Ledger, now: datetime = NOW, kind: str = "deletion") -> Claim | WaveBusy | None:
    return ledger.claim_wave(MODEL, kind=kind, holder="another", now=now, lease_seconds=LEASE_SECONDS)  # type: ignore[arg-type]


def test_first_wave_is_zero_and_takes_no_request(ledger: Ledger) -> None:
    ledger.register_model(MODEL)
    add(ledger, "ann")
    claim = claim_wave(ledger, "base")
    assert (claim.number, claim.kind, claim.resumed, claim.attempt) == (0, "base", False, None)
    assert list_states(ledger) == [("R-000001", "pending")]


def test_deletion_before_any_base_is_refused(ledger: Ledger) -> None:
    ledger.register_model(MODEL)
    add(ledger, "ann")
    with pytest.raises(InputError, match=r"no base yet.*`amun init`"):
        claim_or_not(ledger)
    assert ledger.list_waves(MODEL) == []


def test_nothing_pending_opens_no_wave(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    assert claim_or_not(ledger) is None
    assert [wave.number for wave in ledger.list_waves(MODEL)] == [0]


def test_wave_takes_what_is_pending_and_no_later_request(ledger: Ledger) -> None:
    build_base(ledger, ["ann", "bob", "cat", "dan"])
    add(ledger, "cat", "ann", "bob")
    ledger.withdraw_request("R-000003", now=NOW)
    claim = claim_wave(ledger)
    add(ledger, "dan")
    assert claim.number == 1
    assert ledger.subjects_of_wave(MODEL, 1) == ["cat", "ann"]
    assert [request.request_id for request in ledger.requests_of_wave(MODEL, 1)] == ["R-000001", "R-000002"]
    assert [state for _, state in list_states(ledger)] == ["in_wave", "in_wave", "withdrawn", "pending"]


def test_open_wave_is_held_until_its_lease_expires(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    add(ledger, "ann")
    first = claim_wave(ledger)
    assert claim_or_not(ledger, LATER - MOMENT) == WaveBusy(MODEL, 1, "deletion", "elsewhere", NOW, LATER)
    second = claim_or_not(ledger, LATER)
    assert isinstance(second, Claim)
    assert (second.number, second.resumed) == (1, True)
    assert second.token != first.token


def test_open_wave_is_resumed_as_what_it_is(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    add(ledger, "ann")
    ledger.set_attempt(claim_wave(ledger), 2, NOW)
    resumed = claim_or_not(ledger, LATER, kind="base")
    assert isinstance(resumed, Claim)
    assert (resumed.number, resumed.kind, resumed.attempt) == (1, "deletion", 2)


def test_renewed_lease_lasts_from_the_renewal(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    add(ledger, "ann")
    ledger.renew_lease(claim_wave(ledger), LATER - MOMENT, LEASE_SECONDS)
    assert isinstance(claim_or_not(ledger, LATER), WaveBusy)
    assert isinstance(claim_or_not(ledger, LATER - MOMENT + timedelta(seconds=LEASE_SECONDS)), Claim)


@pytest.mark.parametrize("write", WRITES)
def test_no_write_without_the_lease(ledger: Ledger, write: str) -> None:
    build_base(ledger, ["ann"])
    add(ledger, "ann")
    lost = claim_wave(ledger)
    with pytest.raises(LeaseLostError, match="expired"):
        WRITES[write](ledger, lost, LATER)
    claim_wave(ledger, now=LATER)
    before = ledger.list_waves(MODEL), ledger.list_requests(), ledger.peek_wave(MODEL, NOW)
    with pytest.raises(LeaseLostError, match="taken over by elsewhere"):
        WRITES[write](ledger, lost, NOW)
    assert (ledger.list_waves(MODEL), ledger.list_requests(), ledger.peek_wave(MODEL, NOW)) == before
    assert ledger.add_requests(["eve"], received_at=None, now=NOW)[0].outcomes[0].state == "unmatched"


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("closed_by", ["complete_wave", "park_wave"])
def test_no_write_on_a_closed_wave(ledger: Ledger, write: str, closed_by: str) -> None:
    build_base(ledger, ["ann"])
    add(ledger, "ann")
    claim = claim_wave(ledger)
    WRITES[closed_by](ledger, claim, NOW)
    before = ledger.list_waves(MODEL), ledger.list_requests()
    if write == closed_by == "complete_wave":
        WRITES[write](ledger, claim, LATER)
    else:
        with pytest.raises(LeaseLostError, match="wave 1 of model 'digits-cnn' is no longer open"):
            WRITES[write](ledger, claim, NOW)
    assert (ledger.list_waves(MODEL), ledger.list_requests()) == before


def test_completing_closes_the_requests_with_receipts(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    add(ledger, "ann")
    complete_wave(ledger, claim_wave(ledger))
    [outcome] = ledger.get_request("R-000001").outcomes
    assert (outcome.state, outcome.wave_number, outcome.decided_at) == ("completed", 1, NOW)
    assert outcome.receipt == Receipt(tag="wave/0001")
    wave = ledger.get_wave(MODEL, 1)
    assert (wave.state, wave.version, wave.parent_version, wave.commit) == ("complete", "7", "6", "c0ffee")
    assert wave.summary == SUMMARY
    assert (wave.closed_at, wave.num_requests) == (NOW, 1)
    assert ledger.peek_wave(MODEL, NOW) is None


def test_completing_again_as_another_version_is_refused(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    add(ledger, "ann")
    claim = claim_wave(ledger)
    complete_wave(ledger, claim, version="7")
    with pytest.raises(LeaseLostError):
        complete_wave(ledger, claim, version="8")
    assert ledger.get_wave(MODEL, 1).version == "7"


def test_completing_what_another_run_has_completed_is_refused(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    add(ledger, "ann")
    lost = claim_wave(ledger)
    complete_wave(ledger, claim_wave(ledger, now=LATER), now=LATER)
    with pytest.raises(LeaseLostError, match="no longer open"):
        complete_wave(ledger, lost)


def test_parked_wave_uses_up_its_number_and_frees_its_requests(ledger: Ledger) -> None:
    build_base(ledger, ["ann", "bob"])
    add(ledger, "ann")
    before = ledger.get_request("R-000001")
    ledger.park_wave(claim_wave(ledger), "too few samples", NOW)
    assert ledger.get_request("R-000001") == before
    parked = ledger.get_wave(MODEL, 1)
    assert (parked.state, parked.note, parked.closed_at, parked.num_requests) == ("parked", "too few samples", NOW, 0)
    add(ledger, "bob")
    assert claim_wave(ledger).number == 2
    assert ledger.subjects_of_wave(MODEL, 2) == ["ann", "bob"]


def test_models_have_waves_of_their_own(ledger: Ledger) -> None:
    build_base(ledger, ["ann"], model="first")
    build_base(ledger, ["ann"], model="second")
    add(ledger, "ann")
    assert claim_wave(ledger, model="first").number == claim_wave(ledger, model="second").number == 1
    assert [wave.number for wave in ledger.list_waves("first")] == [0, 1]


def test_new_holdings_replace_the_old_ones(ledger: Ledger) -> None:
    build_base(ledger, ["ann", "bob"])
    claim = claim_wave(ledger, "base")
    with pytest.raises(InputError):
        ledger.record_holdings(claim, [Holding("cat", 1, 0), Holding("a\nb", 1, 0)], NOW)
    ledger.record_holdings(claim, [Holding("bob", 1, 0)], NOW)
    ann, bob, cat = ledger.add_requests(["ann", "bob", "cat"], received_at=None, now=NOW)
    assert [answer.outcomes[0].state for answer in (ann, bob, cat)] == ["unmatched", "pending", "unmatched"]


def test_model_that_holds_nobody_is_known_to(ledger: Ledger) -> None:
    build_base(ledger, [])
    [answer] = ledger.add_requests(["ann"], received_at=None, now=NOW)
    assert answer.outcomes[0].state == "unmatched"


def test_status_counts_what_waits_and_what_is_late(ledger: Ledger) -> None:
    build_base(ledger, ["ann", "bob", "cat"])
    add(ledger, "ann", now=NOW - timedelta(days=40))
    claim = claim_wave(ledger)
    add(ledger, "bob", now=NOW)
    add(ledger, "cat", now=NOW + timedelta(days=1))
    due = ledger.get_request("R-000002").due_at
    late = ledger.count_status(MODEL, due + MOMENT)
    assert (late.pending, late.overdue) == (2, 2)
    assert late.next_due == ledger.get_request("R-000001").due_at
    complete_wave(ledger, claim)
    on_time = ledger.count_status(MODEL, due)
    assert (on_time.pending, on_time.overdue, on_time.next_due, on_time.open_wave) == (2, 0, due, None)


def test_open_wave_is_seen_by_all(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    add(ledger, "ann")
    ledger.set_attempt(claim_wave(ledger), 1, NOW)
    seen = ledger.peek_wave(MODEL, NOW)
    assert seen is not None
    assert (seen.number, seen.kind, seen.holder, seen.attempt, seen.num_requests) == (1, "deletion", "elsewhere", 1, 1)
    assert (seen.opened_at, seen.heartbeat_at, seen.lease_expires_at, seen.is_abandoned) == (NOW, NOW, LATER, False)
    abandoned = ledger.count_status(MODEL, LATER).open_wave
    assert abandoned is not None
    assert abandoned.is_abandoned


def test_comparison_needs_no_lease(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    ledger.set_comparison(MODEL, 0, Comparison(ft_auc=0.5))
    assert ledger.get_wave(MODEL, 0).comparison == Comparison(ft_auc=0.5)
    assert ledger.list_waves(MODEL) == [ledger.get_wave(MODEL, 0)]


def test_unknown_model_and_wave_are_named(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    for ask in (
        lambda: ledger.get_wave(MODEL, 9),
        lambda: ledger.subjects_of_wave(MODEL, 9),
        lambda: ledger.requests_of_wave(MODEL, 9),
        lambda: ledger.set_comparison(MODEL, 9, Comparison()),
    ):
        with pytest.raises(InputError, match=r"no wave 9.*`amun wave list`"):
            ask()
    for ask_model in (
        ledger.list_waves,
        lambda name: ledger.count_status(name, NOW),
        lambda name: ledger.peek_wave(name, NOW),
    ):
        with pytest.raises(InputError, match=r"model 'nobody' is not registered.*`amun init`"):
            ask_model("nobody")


def test_schema_itself_refuses_two_open_waves_and_two_live_requests(ledger: Ledger, url: str) -> None:
    build_base(ledger, ["ann"])
    add(ledger, "ann")
    claim_wave(ledger)
    second_wave = text(
        "INSERT INTO waves (model, number, kind, state, holder, lease_token, heartbeat_at, lease_expires_at, opened_at)"
        " SELECT model, 2, kind, state, holder, lease_token, heartbeat_at, lease_expires_at, opened_at"
        " FROM waves WHERE number = 1"
    )
    engine = create_engine(url)
    with engine.begin() as run:
        copied = "SELECT 2, subject_id, received_at, due_at FROM requests"
        run.execute(text("INSERT INTO requests (number, subject_id, received_at, due_at) " + copied))
    second_outcome = text(
        "INSERT INTO request_outcomes (request_number, model, subject_id, state)"
        " SELECT 2, model, subject_id, 'pending' FROM request_outcomes"
    )
    with (
        pytest.raises(IntegrityError, match=r"one_open_wave|UNIQUE constraint failed: waves.model\b(?!,)"),
        engine.begin() as run,
    ):
        run.execute(second_wave)
    with (
        pytest.raises(IntegrityError, match=r"one_live_request|UNIQUE constraint failed: request_outcomes"),
        engine.begin() as run,
    ):
        run.execute(second_outcome)
    engine.dispose()
