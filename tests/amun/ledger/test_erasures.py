"""Whoever is forgotten is to be erased: not before the waiting days end, and not while anything holds the key."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from amun.core.errors import InputError
from amun.ledger import Claim, Demand, Holding, Ledger, PlannedErasure
from amun.ledger.erasures import tell_erased
from tests.amun.ledger.helpers import MODEL, NOW, add, build_base, claim_wave, complete_wave

AFTER = NOW + timedelta(days=7)
DUE = NOW + timedelta(days=28)
REASON = "evidence in case 4711"


@pytest.fixture
def forgotten(ledger: Ledger) -> Ledger:
    """A ledger in which wave 1 has forgotten ann and bob; cat is still held."""
    build_base(ledger, ["ann", "bob", "cat"])
    forget(ledger, "ann", "bob")
    return ledger


def forget(ledger: Ledger, *subjects: str, model: str = MODEL, version: str = "7", after: datetime = AFTER) -> None:
    add(ledger, *subjects)
    complete_wave(ledger, claim_wave(ledger, model=model), version, erase_after=after)


def start(ledger: Ledger, *subjects: str, now: datetime = AFTER, at_once: bool = False) -> list[str]:
    """Returns whose erasure is under way once all that may be is started."""
    asked = subjects or None
    found = ledger.start_erasures(MODEL, now=now, at_once=at_once, subjects=asked)
    return [one.subject_id for one in found if one.erasure.started_at is not None]


def list_reasons(ledger: Ledger, subject: str, now: datetime = AFTER) -> Sequence[str]:
    (reasons,) = (one.held_up_by for one in ledger.list_erasures(MODEL, now) if one.subject_id == subject)
    return reasons


def finish(ledger: Ledger, *request_ids: str, now: datetime = AFTER) -> None:
    ledger.record_destroyed(MODEL, request_ids, now)
    ledger.finish_erasures(MODEL, request_ids, now)


def test_completed_request_is_to_be_erased_after_its_waiting_days(forgotten: Ledger) -> None:
    before = AFTER - timedelta(seconds=1)
    assert [one.subject_id for one in forgotten.list_erasures(MODEL, before)] == ["ann", "bob"]
    assert list_reasons(forgotten, "ann", before) == (f"the waiting days of {MODEL}, until 2026-02-07 09:30 UTC",)
    assert start(forgotten, now=before) == []
    assert list_reasons(forgotten, "ann") == ()
    assert start(forgotten) == ["ann", "bob"]
    erasure = forgotten.get_request("R-000001").outcomes[0].erasure
    assert erasure is not None
    assert (erasure.intended_at, erasure.erase_after, erasure.started_at) == (NOW, AFTER, AFTER)
    assert (erasure.keys_destroyed_at, erasure.erased_at) == (None, None)


def test_where_nothing_is_sealed_nothing_is_intended(ledger: Ledger) -> None:
    build_base(ledger, ["ann"])
    add(ledger, "ann")
    complete_wave(ledger, claim_wave(ledger), erase_after=None)
    assert ledger.list_erasures(MODEL, AFTER) == []
    status = ledger.count_status(MODEL, AFTER)
    assert (status.to_erase, status.never_erased, status.erase_overdue) == (0, 1, 0)


def test_person_who_asks_again_has_one_erasure(forgotten: Ledger) -> None:
    add(forgotten, "ann")
    assert [one.request_id for one in forgotten.list_erasures(MODEL, NOW)] == ["R-000001", "R-000002"]
    assert start(forgotten) == ["ann", "bob"]


def test_now_waits_for_no_days_and_subjects_are_found_in_any_spelling(ledger: Ledger) -> None:
    build_base(ledger, ["Zo\u00eb", "ann"])
    forget(ledger, "Zo\u00eb", "ann")
    assert start(ledger, "Zoe\u0308", now=NOW, at_once=True) == ["Zo\u00eb"]
    with pytest.raises(InputError, match="nobody called 'cat' is still to be erased"):
        start(ledger, "cat", "ann", at_once=True)
    # whatever is asked for, what was begun goes on
    assert start(ledger, "ann", now=NOW, at_once=True) == ["Zo\u00eb", "ann"]


def test_steps_are_recorded_once_and_what_was_begun_is_no_longer_held_up(forgotten: Ledger) -> None:
    start(forgotten)
    later = AFTER + timedelta(hours=1)
    finish(forgotten, "R-000001")
    finish(forgotten, "R-000001", now=later)
    assert start(forgotten, now=later) == ["bob"]
    erasure = forgotten.get_request("R-000001").outcomes[0].erasure
    assert erasure is not None
    assert (erasure.started_at, erasure.keys_destroyed_at, erasure.erased_at) == (AFTER, AFTER, AFTER)
    assert list_reasons(forgotten, "bob") == ()
    assert forgotten.count_status(MODEL, later).to_erase == 1


def test_hold_stops_an_erasure_until_it_is_released(forgotten: Ledger) -> None:
    held = forgotten.hold_request("R-000001", REASON, now=NOW)
    assert (held.is_held, held.outcomes[0].state) == (True, "completed")
    assert list_reasons(forgotten, "ann") == (f"a legal hold on R-000001: {REASON}",)
    assert start(forgotten, at_once=True) == ["bob"]
    late = DUE + timedelta(days=1)
    assert forgotten.count_status(MODEL, late).erase_overdue == 1
    released = forgotten.release_request("R-000001", now=AFTER)
    assert (released.is_held, released.outcomes[0].state) == (False, "completed")
    assert forgotten.count_status(MODEL, late).erase_overdue == 2
    assert start(forgotten) == ["ann", "bob"]
    with pytest.raises(InputError, match="still to be erased"):
        forgotten.hold_request("R-000001", REASON, now=AFTER)


def test_withdrawing_elsewhere_does_not_end_the_hold_on_an_erasure(forgotten: Ledger) -> None:
    build_base(forgotten, ["cat"], model="second")
    (request,) = add(forgotten, "cat")
    claim = claim_wave(forgotten)
    complete_wave(forgotten, claim, erase_after=AFTER)
    forgotten.hold_request(request, REASON, now=NOW)
    assert forgotten.withdraw_request(request, now=NOW).is_held
    assert start(forgotten) == ["ann", "bob"]


def test_key_of_a_person_whom_another_model_still_holds_stays(forgotten: Ledger) -> None:
    build_base(forgotten, ["ann", "bob"], model="second")
    assert list_reasons(forgotten, "ann") == (
        "second, which holds samples of this person; `amun request add` makes it forget them",
    )
    (request,) = add(forgotten, "ann")
    assert list_reasons(forgotten, "ann") == (f"request {request}, which is pending for second",)
    claim = claim_wave(forgotten, model="second")
    assert list_reasons(forgotten, "ann") == (f"request {request}, which is in_wave for second",)
    forgotten.park_wave(claim, "no attempt passed the gate", NOW)
    assert list_reasons(forgotten, "ann") == (f"request {request}, which is pending for second",)
    later = AFTER + timedelta(days=2)
    complete_wave(forgotten, claim_wave(forgotten, model="second"), erase_after=later)
    # the second model may have to go back, too
    assert list_reasons(forgotten, "ann") == ("the waiting days of second, until 2026-02-09 09:30 UTC",)
    assert start(forgotten) == []
    assert start(forgotten, now=later) == ["ann"]


def test_what_one_model_has_begun_no_other_can_stop(ledger: Ledger) -> None:
    for model in (MODEL, "second"):
        build_base(ledger, ["ann"], model=model)
    (request,) = add(ledger, "ann")
    for model in (MODEL, "second"):
        complete_wave(ledger, claim_wave(ledger, model=model), "8", erase_after=AFTER)
    assert start(ledger) == ["ann"]
    for number, model in enumerate((MODEL, "second"), 1):
        ledger.record_destroyed(model, [request], AFTER)
        assert ledger.count_destroyed() == number, "a key store of its own may have lost them later"
    with pytest.raises(InputError, match="still to be erased"):
        ledger.hold_request(request, REASON, now=AFTER)
    with pytest.raises(InputError, match=f"being erased since 2026-02-07 under request {request}"):
        ledger.begin_rollback(
            "second", from_version="8", to_version="7", undone_waves=[1], reason="why", holder="elsewhere", now=AFTER
        )


def test_base_of_another_model_may_hold_anybody_until_it_is_built(forgotten: Ledger) -> None:
    forgotten.register_model("second")
    claim = claim_wave(forgotten, "base", model="second")
    assert list_reasons(forgotten, "ann") == ("wave 0 of second, which builds a base that may hold this person",)
    assert start(forgotten, at_once=True) == []
    forgotten.record_holdings(claim, [Holding("bob", 1, 0)], NOW)
    complete_wave(forgotten, claim)
    assert start(forgotten) == ["ann"]


def roll_back(ledger: Ledger) -> Claim:
    ledger.begin_rollback(
        MODEL, from_version="8", to_version="7", undone_waves=[2], reason="why", holder="elsewhere", now=AFTER
    )
    return claim_wave(ledger, now=AFTER)


def test_rollback_takes_the_intent_back(forgotten: Ledger) -> None:
    forget(forgotten, "cat", version="8")
    claim = roll_back(forgotten)
    assert list_reasons(forgotten, "cat") == (f"rollback 1 of {MODEL}, which is not finished",)
    assert start(forgotten, at_once=True) == ["ann", "bob"]
    forgotten.finish_rollback(claim, [Holding("cat", 2, 1)], AFTER)
    assert [one.subject_id for one in forgotten.list_erasures(MODEL, AFTER)] == ["ann", "bob"]
    again = AFTER + timedelta(days=7)
    complete_wave(forgotten, claim, "9", AFTER, again)
    assert forgotten.list_erasures(MODEL, AFTER)[-1].erasure.erase_after == again


def test_no_way_back_past_an_erasure_that_is_begun(forgotten: Ledger) -> None:
    forget(forgotten, "cat", version="8")
    start(forgotten, "cat", at_once=True)
    with pytest.raises(
        InputError, match=r"version 7 cannot serve again: .* being erased since 2026-02-07 under request R-000003"
    ):
        roll_back(forgotten)
    assert forgotten.find_rollback(MODEL) is None


def test_status_tells_what_is_late(forgotten: Ledger) -> None:
    forget(forgotten, "cat", after=DUE + timedelta(days=1))
    on_time = forgotten.count_status(MODEL, DUE)
    assert (on_time.to_erase, on_time.erase_next, on_time.erase_late, on_time.erase_overdue) == (3, AFTER, 1, 0)
    start(forgotten)
    finish(forgotten, "R-000001")
    late = forgotten.count_status(MODEL, DUE + timedelta(seconds=1))
    assert (late.to_erase, late.erase_late, late.erase_overdue, late.overdue) == (2, 1, 2, 0)


def test_hold_on_another_request_of_the_person_makes_nothing_overdue(forgotten: Ledger) -> None:
    build_base(forgotten, ["ann"], model="second")
    (request,) = add(forgotten, "ann")
    forgotten.hold_request(request, REASON, now=NOW)
    assert start(forgotten) == ["bob"]
    assert forgotten.count_status(MODEL, DUE + timedelta(days=1)).erase_overdue == 1


def test_erased_is_told_without_a_name(forgotten: Ledger) -> None:
    def tell(waves: Sequence[int]) -> str:
        found: list[PlannedErasure] = forgotten.find_erased(MODEL, waves, AFTER)
        return tell_erased(found) if found else ""

    assert tell([1]) == ""
    start(forgotten, "ann")
    assert tell([1]) == "being erased since 2026-02-07 under request R-000001"
    finish(forgotten, "R-000001")
    assert tell([1]) == "erased on 2026-02-07 under request R-000001"
    start(forgotten)
    assert tell([1, 2]) == "erased on 2026-02-07 under request R-000001 and 1 more"
    assert tell([2]) == ""


def test_only_a_legal_hold_excuses_a_late_erasure(forgotten: Ledger) -> None:
    late = DUE + timedelta(days=1)
    build_base(forgotten, ["ann"], model="second")
    (again,) = forgotten.add_demands([Demand("ann", num_approvals=1)], now=NOW)
    assert forgotten.count_status(MODEL, late).erase_overdue == 2
    forgotten.hold_request(again.request_id, "a case", now=NOW)
    assert forgotten.count_status(MODEL, late).erase_overdue == 1
