"""A rollback opens the requests of the waves it undoes again, once, with the dates they had."""

from datetime import timedelta
from typing import Any

import pytest

from amun.core.errors import InputError
from amun.evidence.attempts import Receipt
from amun.ledger import Claim, Holding, Ledger, Request, WaveBusy
from tests.amun.ledger.helpers import LATER, MODEL, NOW, add, build_base, claim_wave, complete_wave

TOMORROW = NOW + timedelta(days=1)
CHAMPION = {0: "1", 1: "2", 2: "3"}  # the versions of the waves below


@pytest.fixture
def forgetful(ledger: Ledger) -> Ledger:
    """A ledger in which wave 1 has forgotten ann and wave 2 bob."""
    ledger.register_model(MODEL)
    base = claim_wave(ledger, "base")
    ledger.record_holdings(base, [Holding(subject, 2, 1) for subject in ("ann", "bob", "cat", "dan")], NOW)
    complete_wave(ledger, base, CHAMPION[0])
    for number, subject in enumerate(("ann", "bob"), 1):
        add(ledger, subject)
        complete_wave(ledger, claim_wave(ledger), CHAMPION[number])
    return ledger


def begin(ledger: Ledger, undone: tuple[int, ...] = (2,), **changes: Any) -> int | WaveBusy:
    """Returns the answer to the wish to undo these waves."""
    asked: dict[str, Any] = {
        "from_version": CHAMPION[2],
        "to_version": CHAMPION[min(undone) - 1],
        "undone_waves": undone,
        "reason": "it confuses 3 and 8",
        "holder": "elsewhere",
        "now": TOMORROW,
    }
    return ledger.begin_rollback(MODEL, **asked | changes)


def find(ledger: Ledger, subject: str) -> Request:
    (found,) = (request for request in ledger.list_requests(MODEL) if request.subject_id == subject)
    return found


def resume(ledger: Ledger) -> Claim:
    claim = claim_wave(ledger, now=TOMORROW)
    assert claim.resumed
    return claim


def test_intent_comes_first_and_changes_no_request(forgetful: Ledger) -> None:
    before = forgetful.list_requests(MODEL)
    assert begin(forgetful) == 3
    assert forgetful.list_requests(MODEL) == before
    rollback = forgetful.find_rollback(MODEL)
    assert rollback is not None
    assert (rollback.from_version, rollback.to_version, rollback.undone_waves) == ("3", "2", (2,))
    assert rollback.finished_at is None
    assert forgetful.list_rollbacks(MODEL) == [rollback]


def test_requests_of_undone_waves_alone_are_in_the_new_wave_with_their_dates(forgetful: Ledger) -> None:
    ann, bob = find(forgetful, "ann"), find(forgetful, "bob")
    add(forgetful, "cat")
    assert forgetful.count_remembered(MODEL, [2], ()) == 1
    begin(forgetful)
    claim = resume(forgetful)
    assert forgetful.finish_rollback(claim, [], TOMORROW) == 1
    assert forgetful.finish_rollback(claim, [], TOMORROW) == 0
    assert find(forgetful, "ann") == ann
    again = find(forgetful, "bob")
    assert (again.request_id, again.received_at, again.due_at) == (bob.request_id, bob.received_at, bob.due_at)
    (outcome,) = again.outcomes
    assert (outcome.state, outcome.wave_number, outcome.decided_at, outcome.receipt) == ("in_wave", 3, None, None)
    (kept,) = outcome.undone
    assert (kept.state, kept.wave_number, kept.receipt) == ("completed", 2, bob.outcomes[0].receipt)
    assert (kept.undone_at, kept.reason) == (TOMORROW, "it confuses 3 and 8")
    assert forgetful.subjects_of_wave(MODEL, 3) == ["bob", "cat"]
    assert [wave.undone_by for wave in forgetful.list_waves(MODEL)] == [None, None, 1, None]
    assert forgetful.find_rollback(MODEL) is None

    complete_wave(forgetful, claim, "4", TOMORROW)
    assert [wave.num_requests for wave in forgetful.list_waves(MODEL)] == [0, 1, 0, 2]
    assert forgetful.get_request(bob.request_id).outcomes[0].receipt == Receipt(tag="wave/0003")


def test_wave_is_undone_once(forgetful: Ledger) -> None:
    begin(forgetful)
    claim = resume(forgetful)
    forgetful.finish_rollback(claim, [], TOMORROW)
    complete_wave(forgetful, claim, "4", TOMORROW)
    with pytest.raises(InputError, match="no longer version 3"):
        begin(forgetful)
    assert begin(forgetful, (1, 3), from_version="4") == 4
    forgetful.finish_rollback(resume(forgetful), [], TOMORROW)
    assert forgetful.subjects_of_wave(MODEL, 4) == ["ann", "bob"]
    assert [kept.wave_number for kept in find(forgetful, "bob").outcomes[0].undone] == [2, 3]


def test_request_held_for_another_model_waits_for_its_release(forgetful: Ledger) -> None:
    build_base(forgetful, ["cat", "dan"], "other")
    dan, *_ = add(forgetful, "dan")
    complete_wave(forgetful, claim_wave(forgetful), "4")
    forgetful.hold_request(dan, "a lawsuit", now=NOW)
    begin(forgetful, (3,), from_version="4", to_version="3")
    claim = resume(forgetful)
    assert forgetful.finish_rollback(claim, [], TOMORROW) == 1
    assert {outcome.state for outcome in forgetful.get_request(dan).outcomes} == {"held"}
    assert forgetful.subjects_of_wave(MODEL, 4) == []
    forgetful.park_wave(claim, "nobody", TOMORROW)
    forgetful.release_request(dan, now=TOMORROW)
    assert {outcome.state for outcome in forgetful.get_request(dan).outcomes} == {"pending"}


def test_parked_wave_leaves_them_pending_with_their_dates(forgetful: Ledger) -> None:
    due_at = find(forgetful, "bob").due_at
    begin(forgetful)
    claim = resume(forgetful)
    forgetful.finish_rollback(claim, [], TOMORROW)
    forgetful.park_wave(claim, "no attempt passed", TOMORROW)
    again = find(forgetful, "bob")
    assert (again.outcomes[0].state, again.due_at) == ("pending", due_at)


def test_open_wave_in_other_hands_is_named(forgetful: Ledger) -> None:
    add(forgetful, "cat")
    claim_wave(forgetful)
    held = begin(forgetful, now=NOW)
    assert isinstance(held, WaveBusy)
    assert held.number == 3
    assert forgetful.list_rollbacks(MODEL) == []


def test_abandoned_wave_carries_it_out(forgetful: Ledger) -> None:
    add(forgetful, "cat")
    claim_wave(forgetful)
    assert begin(forgetful, now=LATER) == 3
    forgetful.finish_rollback(resume(forgetful), [], TOMORROW)
    assert forgetful.subjects_of_wave(MODEL, 3) == ["bob", "cat"]


def test_second_one_waits_for_the_first(forgetful: Ledger) -> None:
    begin(forgetful)
    with pytest.raises(InputError, match=r"no longer version 3|run `amun wave run` first"):
        begin(forgetful)
    with pytest.raises(InputError, match="wave 3 of digits-cnn is not finished; run `amun wave run` first"):
        begin(forgetful, (1,), from_version="2")


def test_undone_base_gives_back_whom_it_did_not_hold(forgetful: Ledger) -> None:
    build_base(forgetful, ["bob", "cat"])  # wave 3, version 7
    dan, *_ = add(forgetful, "dan", now=TOMORROW)
    add(forgetful, "dan", "eve", now=TOMORROW)
    held = ("ann", "bob", "cat", "dan")
    assert forgetful.count_remembered(MODEL, [3], held) == 1
    assert begin(forgetful, (3,), from_version="7", to_version="3") == 4
    assert forgetful.finish_rollback(resume(forgetful), [Holding(subject, 2, 1) for subject in held], TOMORROW) == 1
    assert [request.request_id for request in forgetful.requests_of_wave(MODEL, 4)] == [dan]
    (kept,) = forgetful.get_request(dan).outcomes[0].undone
    assert (kept.state, kept.receipt) == ("unmatched", None)
    (cat,) = forgetful.add_requests(["cat"], received_at=None, now=TOMORROW)
    assert cat.outcomes[0].state == "pending"


def test_undone_base_leaves_a_held_request_on_hold(forgetful: Ledger) -> None:
    build_base(forgetful, ["bob", "cat"])  # wave 3
    add(forgetful, "dan", now=TOMORROW)
    build_base(forgetful, ["bob", "cat", "dan"])  # wave 4
    (held,) = add(forgetful, "dan", now=TOMORROW)
    forgetful.hold_request(held, "a lawsuit", now=TOMORROW)
    assert forgetful.count_remembered(MODEL, [3, 4], ["dan"]) == 0
    begin(forgetful, (3, 4), from_version="7", to_version="3")
    assert forgetful.finish_rollback(resume(forgetful), [Holding("dan", 2, 1)], TOMORROW) == 0
    assert forgetful.get_request(held).is_held
