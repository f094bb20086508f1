"""What a night is expected to take, and when exact retraining comes first."""

from dataclasses import replace
from typing import Any

import pytest
from pydantic import TypeAdapter

from amun.core.params import AttemptParams
from amun.costs.choosing import (
    AttemptCost,
    Tonight,
    expect_seconds,
    find_break_even,
    foresee_attempts,
    foresee_shared,
    is_weighable,
    plan_by_cost,
)
from amun.costs.measured import Past, measure_units
from tests.amun.costs.lines import HERE, cost, judge, make_past
from tests.amun.shipped import PARAMS

RATES = {"learning_rate": 0.1}
ATTEMPTS = tuple(
    AttemptParams.model_validate({"method": method, **parameters})
    for method, parameters in (("amun", RATES), ("amun_a", RATES), ("retrain", {}))
)
PARTS = PARAMS.model_copy(
    update={
        "training": PARAMS.training.model_copy(update={"epochs": 6}),
        "unlearning": PARAMS.unlearning.model_copy(update={"epochs": 2, "attempts": ATTEMPTS}),
    }
)
TONIGHT = Tonight(num_train=1000, num_forget=100, num_calibration=500, num_test=250, is_remain_at_hand=True)
LINE = [
    make_past(
        cost("power", 4.0),
        cost("adversarial", 30.0, 60),
        cost("unlearn", 80.0, 1000, epochs=2, method="amun"),
        cost("audit", 3.0, 1500),
        cost("report", 15.0 + 2.5, 1250),
        seconds=150.0,
        decisions=(judge("amun", True, **RATES),),
        num_forget=30,
    ),
    make_past(cost("train", 60.0, 1000, epochs=6), num_forget=0),
]
FIRST = AttemptCost(1, "amun", 10.0, 2.0, num_runs=1, num_made=2, num_passed=2)
SECOND = AttemptCost(2, "amun_a", 6.0, 2.0, num_runs=1, num_made=0, num_passed=0)
EXACT = AttemptCost(3, "retrain", 30.0, 2.0, num_runs=1, num_made=0, num_passed=0)


def test_attempts_are_foreseen_by_their_own_runs_or_the_training_of_the_base() -> None:
    first, second, exact = foresee_attempts(PARTS, measure_units(LINE), LINE, TONIGHT)
    # 2 epochs of 1000: at 40 ms as it was, at 10 ms as the base was trained; 6 epochs of the 900 left
    assert [one.train_seconds for one in (first, second, exact)] == pytest.approx([80, 20, 54])
    assert [one.num_runs for one in (first, second, exact)] == [1, 0, 1]
    assert [one.audit_seconds for one in (first, second, exact)] == pytest.approx([3, 3, 3])
    assert [(one.num_passed, one.num_made) for one in (first, second, exact)] == [(1, 1), (0, 0), (0, 0)]
    assert [one.chance for one in (first, second, exact)] == pytest.approx([2 / 3, 1 / 2, 1])


def test_a_users_trainer_tells_nothing_of_an_epoch() -> None:
    own = PARTS.model_copy(update={"training": PARTS.training.model_copy(update={"function": "custom.mine:fit"})})
    told = cost("train", 60.0, 1000)
    measured = measure_units([LINE[0], make_past(told, num_forget=0)])
    first, second, exact = foresee_attempts(own, measured, LINE, TONIGHT)
    assert [one.train_seconds for one in (first, second, exact)] == [pytest.approx(80), None, pytest.approx(54)]
    assert not is_weighable([first, second, exact], TONIGHT)
    assert is_weighable([first, exact], TONIGHT)


def test_what_every_night_pays_is_foreseen() -> None:
    shared = foresee_shared(measure_units(LINE), TONIGHT)
    # 300 searches at half a second; 1250 looks at 2 ms, its own search left out; 150 s less 134.5 s computed
    assert shared == pytest.approx({"power": 4.0, "search": 150.0, "report": 2.5, "fixed": 15.5})
    unknown = foresee_shared(measure_units([]), replace(TONIGHT, num_forget=0))
    assert unknown == {"power": None, "search": 0.0, "report": None, "fixed": None}


def test_without_the_remain_set_nothing_of_it_is_trained_on_or_looked_at() -> None:
    none = PARTS.model_copy(update={"data": PARTS.data.model_copy(update={"remain": "none"})})
    alone = replace(TONIGHT, is_remain_at_hand=False)
    first = foresee_attempts(none, measure_units(LINE), LINE, alone)[0]
    assert (first.train_seconds, first.audit_seconds) == pytest.approx((8, 1.2))


def test_an_attempt_that_fails_is_paid_and_the_next_follows() -> None:
    # 12 s; in a quarter of the nights 8 s more; in half of those 32 s
    assert expect_seconds([FIRST, SECOND, EXACT]) == pytest.approx(12 + 8 / 4 + 32 / 8)
    assert expect_seconds([EXACT, FIRST]) == 32
    assert expect_seconds([FIRST, replace(EXACT, audit_seconds=None)]) is None


def test_no_chance_is_none_or_certain() -> None:
    refused = replace(FIRST, num_made=1, num_passed=0)
    assert 0 < refused.chance < SECOND.chance < 1


def test_cheapest_gives_an_attempt_up_that_one_refusal_has_made_dearer() -> None:
    """As docs/scale.md says: it is not made again, and so its chance stays."""
    first, exact = replace(FIRST, num_made=0, num_passed=0), replace(EXACT, train_seconds=31.0)
    assert plan_by_cost("cheapest", (1, 3), [first, exact]).attempts == (1, 3)
    assert plan_by_cost("cheapest", (1, 3), [replace(first, num_made=1), exact]).attempts == (3,)


@pytest.mark.parametrize(
    ("seconds", "attempts"),
    [(15.9, (3,)), (16.1, (1, 2, 3))],
    ids=["retraining is cheaper", "in order is cheaper"],
)
def test_exact_retraining_comes_first_where_it_is_expected_to_take_no_longer(
    seconds: float, attempts: tuple[int, ...]
) -> None:
    # in order 14 s, and in one night of eight retraining as well: as much as retraining where that takes 16 s
    planned = plan_by_cost("cheapest", (1, 2, 3), [FIRST, SECOND, replace(EXACT, train_seconds=seconds - 2)])
    assert planned.attempts == attempts
    assert planned.at_once_seconds == pytest.approx(seconds)
    assert planned.in_order_seconds == pytest.approx(14 + seconds / 8, abs=0.1)
    assert "at once is expected to take 16 s with its audit, the attempts in order 16 s" in planned.reason


def test_equal_cost_is_retrained_exactly() -> None:
    assert plan_by_cost("cheapest", (1, 2, 3), [FIRST, SECOND, replace(EXACT, train_seconds=14.0)]).attempts == (3,)


@pytest.mark.parametrize(("policy", "numbers"), [("in_order", (1, 2, 3)), ("cheapest", (3,)), ("cheapest", (1, 2))])
def test_where_there_is_no_choice_nothing_is_weighed(policy: str, numbers: tuple[int, ...]) -> None:
    cheap = replace(EXACT, train_seconds=0.0)
    planned = plan_by_cost(policy, numbers, [FIRST, SECOND, cheap])  # type: ignore[arg-type]
    assert (planned.attempts, planned.reason, planned.at_once_seconds) == (numbers, "", None)


@pytest.mark.parametrize(("missing", "said"), [("train_seconds", "no training"), ("audit_seconds", "no audit")])
def test_what_was_never_measured_is_said_and_the_order_stays(missing: str, said: str) -> None:
    planned = plan_by_cost("cheapest", (1, 3), [replace(FIRST, **{missing: None}), EXACT])  # type: ignore[arg-type]
    assert planned.attempts == (1, 3)
    assert said in planned.reason


def test_what_different_machines_took_is_not_weighed() -> None:
    there = [LINE[0], make_past(cost("train", 0.6, 1000, epochs=6, machine="a GPU"), num_forget=0)]
    costs = foresee_attempts(PARTS, measure_units(there), there, TONIGHT)
    planned = plan_by_cost("cheapest", (1, 2, 3), costs)
    assert (planned.attempts, planned.at_once_seconds) == ((1, 2, 3), None)
    assert f"measured on different machines (a GPU; {HERE})" in planned.reason
    assert not is_weighable(costs, TONIGHT)


def make_line(search: float, num_refused: int) -> list[Past]:
    """Returns a line in which one attempt was refused so often, and a search takes so many seconds."""
    refused = [make_past(decisions=(judge("amun", False, **RATES),)) for _ in range(num_refused)]
    searched = make_past(cost("adversarial", search * 60, 60))
    return [searched, *refused, make_past(cost("audit", 1.5, 1500)), make_past(cost("train", 60.0, 1000, epochs=6))]


@pytest.mark.parametrize("num_refused", [0, 1, 6, 60])
@pytest.mark.parametrize("search", [0.001, 5.0], ids=["fast search", "slow search"])
def test_break_even_is_where_the_policy_begins_to_keep_the_order(num_refused: int, search: float) -> None:
    line = make_line(search, num_refused)
    measured = measure_units(line)
    shipped = PARTS.model_copy(update={"unlearning": PARTS.unlearning.model_copy(update={"attempts": ATTEMPTS[::2]})})
    costs = foresee_attempts(shipped, measured, line, TONIGHT)
    assert is_weighable(costs, TONIGHT)
    least = find_break_even(shipped, measured, line, TONIGHT)
    # 20 + 1.5 s against a chance of 1 / (n + 2) to spare 61.5 s at most: after one refusal it never pays
    assert (least is None) == (num_refused > 0)
    for held in [TONIGHT.num_forget, 1000, 10**6, *([] if least is None else [least - 1, least])]:
        tonight = TONIGHT.resize(held)
        weighed = plan_by_cost("cheapest", (1, 2), foresee_attempts(shipped, measured, line, tonight))
        assert weighed.attempts == ((1, 2) if least is not None and held >= least else (2,)), held


@pytest.mark.parametrize(
    "tonight", [replace(TONIGHT, num_forget=0), replace(TONIGHT, is_remain_at_hand=False)], ids=["nobody", "no remain"]
)
def test_without_two_kinds_there_is_no_break_even(tonight: Tonight) -> None:
    costs = foresee_attempts(PARTS, measure_units(LINE), LINE, tonight)
    assert not is_weighable(costs, tonight)
    assert not is_weighable(costs[2:], TONIGHT)
    assert not is_weighable(costs[:2], TONIGHT)


def test_programs_read_what_people_read() -> None:
    read = TypeAdapter(Any).dump_python(FIRST, mode="json")
    assert (read["seconds"], read["chance"]) == (12.0, 0.75)
