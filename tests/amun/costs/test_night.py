"""The sums of a night, in numbers that can be added up by hand."""

from dataclasses import replace

import pytest

from amun.costs.night import (
    Load,
    UnitCosts,
    base_seconds,
    count_searches,
    find_break_even,
    retrain_seconds,
    unlearn_seconds,
)
from amun.evidence.wave import MIN_REPORTED
from tests.amun.shipped import PARAMS

PARTS = PARAMS.model_copy(
    update={
        "training": PARAMS.training.model_copy(update={"epochs": 6}),
        "unlearning": PARAMS.unlearning.model_copy(update={"epochs": 2}),
    }
)
COSTS = UnitCosts(train=1.0, tune=2.0, search=10.0, audit=0.25, report=0.5, fixed=7.0)


def test_a_wave_searches_fine_tunes_and_looks() -> None:
    # 3 x 100 searches, 2 epochs of 1000 samples at 2 s, and looks at 1000
    assert unlearn_seconds(COSTS, PARTS, Load(1000, 100)) == 7 + 3000 + 4000 + 750


def test_without_the_remain_set_the_forget_set_alone_is_trained_on() -> None:
    none = PARTS.model_copy(update={"data": PARTS.data.model_copy(update={"remain": "none"})})
    assert unlearn_seconds(COSTS, none, Load(1000, 100)) == 7 + 3000 + 400 + 750


def test_retraining_is_of_what_remains_and_needs_no_audit() -> None:
    assert retrain_seconds(COSTS, PARTS, Load(1000, 100)) == 7 + 6 * 900
    own = PARTS.model_copy(update={"training": PARTS.training.model_copy(update={"function": "custom.mine:fit"})})
    # a user's own trainer tells of no epochs
    assert retrain_seconds(COSTS, own, Load(1000, 100)) == 7 + 900


@pytest.mark.parametrize(("num_forget", "num_searched"), [(0, 0), (MIN_REPORTED - 1, 19), (MIN_REPORTED, 60)])
def test_too_few_are_compared_with_nobody(num_forget: int, num_searched: int) -> None:
    assert count_searches(num_forget) == num_searched


def test_break_even_is_where_a_wave_becomes_cheaper() -> None:
    # of n images a wave takes 107 s (ten searches, for ten are compared with nobody) and 4.75 n, retraining 7 s and
    # 6 (n - 10): from 128 on, in steps of 6 %
    least = find_break_even(COSTS, PARTS, 10)
    assert least is not None
    assert 128 < least < 128 * 1.07
    assert find_break_even(replace(COSTS, tune=3.0), PARTS, 10) is None


def test_a_base_is_trained_with_its_references_and_the_models_beside_it() -> None:
    references = PARTS.references.model_copy(update={"num_audit": 6, "num_target": 2, "num_retrained": 3})
    # 1 + 8 / 2 + 3 trainings of 6 epochs
    assert base_seconds(COSTS, PARTS.model_copy(update={"references": references}), 100) == 7 + 8 * 600


def test_a_faster_device_computes_faster_and_waits_as_long() -> None:
    load = Load(1000, 100)
    slow, fast = (unlearn_seconds(costs, PARTS, load) for costs in (COSTS, COSTS.speed_up(10)))
    assert fast - COSTS.fixed == pytest.approx((slow - COSTS.fixed) / 10)
