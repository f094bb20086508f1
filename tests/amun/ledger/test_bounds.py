"""A night takes those due first, as many as its bounds allow; a deadline is above every bound."""

from dataclasses import replace
from datetime import timedelta

import pytest

from amun.core.errors import InputError
from amun.ledger import Bounds, Claim, Holding, Ledger
from amun.ledger.bounds import Pace, Waiting, deal_nights, find_pace
from amun.ledger.demands import Demand
from tests.amun.ledger.helpers import (
    LATER,
    LEASE_SECONDS,
    MODEL,
    NOW,
    add,
    build_base,
    claim_wave,
    complete_wave,
)

DAY = timedelta(days=1)
NO_BOUNDS = Bounds(max_requests=None, max_forget_share=None, urgent_until=NOW)
TWO = replace(NO_BOUNDS, max_requests=2)


def queue(*num_train: int, due_in: int = 30) -> list[Waiting]:
    """Returns requests of people with so many training samples, all due after so many days."""
    return [Waiting(number, f"person {number}", NOW + due_in * DAY, num) for number, num in enumerate(num_train, 1)]


def list_nights(waiting: list[Waiting], bounds: Bounds, num_held: int = 100) -> list[int]:
    return [night for night, _ in deal_nights(waiting, bounds, num_held)]


@pytest.mark.parametrize(
    ("num_train", "changes", "nights"),
    [
        ((1, 1, 1, 1, 1), {}, [0, 0, 0, 0, 0]),
        ((1, 1, 1, 1, 1), {"max_requests": 2}, [0, 0, 1, 1, 2]),
        # 0.29 times 100 is less than 29
        ((20, 9, 1), {"max_forget_share": 0.29}, [0, 0, 1]),
        # more than the share allows: alone, and nobody goes past
        ((5, 50, 0, 4), {"max_forget_share": 0.1}, [0, 1, 2, 2]),
        # people of held-out samples count as requests, and as no samples
        ((10, 0, 0, 0), {"max_forget_share": 0.1, "max_requests": 3}, [0, 0, 0, 1]),
        # of 100, then of the 80 that are left
        ((10, 10, 9, 8), {"max_forget_share": 0.2}, [0, 0, 1, 2]),
        ((1, 1), {"max_forget_share": 0.001}, [0, 1]),
    ],
)
def test_nights_take_the_queue_in_turn(
    num_train: tuple[int, ...], changes: dict[str, float], nights: list[int]
) -> None:
    assert list_nights(queue(*num_train), replace(NO_BOUNDS, **changes)) == nights  # type: ignore[arg-type]


def test_whoever_would_be_late_is_taken_whatever_the_bounds_say() -> None:
    urgent, near, later = queue(1, 1, 1, due_in=3), queue(1, 1, 1, 1, due_in=5), queue(1, due_in=30)
    bounds = replace(TWO, urgent_until=NOW + 4 * DAY)
    # tomorrow nobody is urgent who is due on the fifth day from now: it is so on the night after
    assert list(deal_nights([*urgent, *near, *later], bounds, 100)) == [
        (0, False),
        (0, False),
        (0, True),
        (1, False),
        (1, False),
        (2, False),
        (2, False),
        (3, False),
    ]
    assert find_pace([*urgent, *near, *later], bounds, 100) == Pace(3, 5, 4, 1, is_full=True)
    sooner = replace(bounds, urgent_until=NOW + 5 * DAY)
    assert find_pace([*urgent, *near, *later], sooner, 100).num_forced == 3
    # due at that very time, the next night is still in time
    assert list_nights(queue(1, 1, 1, due_in=4), bounds) == [0, 0, 1]


@pytest.mark.parametrize(
    ("num_train", "changes", "is_full"),
    [
        ((), {"max_requests": 1}, False),
        ((1,), {"max_requests": 2}, False),
        ((1, 1), {"max_requests": 2}, True),
        ((10,), {"max_forget_share": 0.11}, False),
        ((10,), {"max_forget_share": 0.1}, True),
        ((1, 50), {"max_forget_share": 0.1}, True),
    ],
)
def test_a_full_night_does_not_grow(num_train: tuple[int, ...], changes: dict[str, float], is_full: bool) -> None:
    assert find_pace(queue(*num_train), replace(NO_BOUNDS, **changes), 100).is_full == is_full  # type: ignore[arg-type]


def claim_bounded(ledger: Ledger, bounds: Bounds) -> list[str]:
    """Returns whom the next wave takes, as was said before, and completes it."""
    foreseen, pace = ledger.subjects_of_next(MODEL, bounds), ledger.foresee_nights(MODEL, bounds)
    claim = ledger.claim_wave(MODEL, kind="deletion", holder="me", now=NOW, lease_seconds=LEASE_SECONDS, bounds=bounds)
    assert isinstance(claim, Claim)
    taken = ledger.subjects_of_wave(MODEL, claim.number)
    assert taken == foreseen
    assert (pace.num_tonight, pace.num_later) == (len(taken), ledger.count_status(MODEL, NOW).pending)
    complete_wave(ledger, claim, str(claim.number))
    return taken


def test_those_due_first_are_taken_and_the_rest_follows(ledger: Ledger) -> None:
    build_base(ledger, ["ann", "bob", "cat", "dan", "eve"])
    # 45 days from now, one month from now, one month from five days ago
    ledger.add_demands([Demand("eve", law="ccpa")], now=NOW)
    add(ledger, "dan", "ann")
    ledger.add_requests(["cat", "bob"], received_at=NOW - 5 * DAY, now=NOW)
    # asked twice is one request; who matches nobody is in no queue, nor who is held
    add(ledger, "dan", "nobody")
    assert claim_bounded(ledger, TWO) == ["cat", "bob"]
    ledger.hold_request("R-000003", "a court says so", now=NOW)
    assert claim_bounded(ledger, TWO) == ["eve", "dan"]
    ledger.release_request("R-000003", now=NOW)
    assert claim_bounded(ledger, TWO) == ["ann"]
    assert ledger.claim_wave(MODEL, kind="deletion", holder="me", now=NOW, lease_seconds=1, bounds=TWO) is None


def test_the_share_is_of_the_samples_that_are_still_held(ledger: Ledger) -> None:
    ledger.register_model(MODEL)
    claim = claim_wave(ledger, "base")
    held = {"ann": 10, "bob": 5, "cat": 5, "dan": 5, "eve": 0, "zoe": 75}
    ledger.record_holdings(claim, [Holding(subject, num, 1) for subject, num in held.items()], NOW)
    complete_wave(ledger, claim)
    tenth = replace(NO_BOUNDS, max_forget_share=0.1)
    add(ledger, "ann", "bob", "eve", "dan", "cat")
    assert claim_bounded(ledger, tenth) == ["ann"]
    # a tenth of the 90 that are left is less than bob and dan have; nothing is held of eve that was trained on
    assert claim_bounded(ledger, tenth) == ["bob", "eve"]
    assert claim_bounded(ledger, tenth) == ["dan"]


def test_a_parked_wave_is_taken_again_as_it_was(ledger: Ledger) -> None:
    build_base(ledger, ["ann", "bob", "cat"])
    add(ledger, "ann", "bob", "cat")
    claim = ledger.claim_wave(MODEL, kind="deletion", holder="me", now=NOW, lease_seconds=60, bounds=TWO)
    assert isinstance(claim, Claim)
    assert ledger.foresee_nights(MODEL, TWO) == Pace(1, 0, 1, 0, is_full=False)
    assert ledger.foresee_nights(MODEL, TWO, with_open=True) == Pace(2, 1, 2, 0, is_full=True)
    # who resumes it takes nobody along, whatever the bounds are by then
    resumed = ledger.claim_wave(MODEL, kind="deletion", holder="me", now=LATER, lease_seconds=60, bounds=NO_BOUNDS)
    assert isinstance(resumed, Claim)
    assert ledger.subjects_of_wave(MODEL, claim.number) == ["ann", "bob"]
    ledger.park_wave(resumed, "why", LATER)
    assert claim_bounded(ledger, TWO) == ["ann", "bob"]


def test_a_rollback_forgets_anew_beside_the_bounds(ledger: Ledger) -> None:
    build_base(ledger, ["ann", "bob", "cat", "dan"])
    add(ledger, "ann", "bob")
    complete_wave(ledger, claim_wave(ledger), "8")
    add(ledger, "cat", "dan")
    number = ledger.begin_rollback(
        MODEL,
        from_version="8",
        to_version="7",
        undone_waves=[1],
        reason="it confuses 3 and 8",
        holder="elsewhere",
        now=NOW,
        bounds=replace(NO_BOUNDS, max_requests=1),
    )
    ledger.finish_rollback(claim_wave(ledger), [], NOW)
    assert ledger.subjects_of_wave(MODEL, int(str(number))) == ["ann", "bob", "cat"]


def test_a_model_that_is_not_there_has_no_queue(ledger: Ledger) -> None:
    for ask in (ledger.subjects_of_next, ledger.foresee_nights):
        with pytest.raises(InputError, match="not registered"):
            ask("another", TWO)
