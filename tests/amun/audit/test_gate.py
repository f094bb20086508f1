"""The gate: its bounds on either side, and at equality."""

import pytest

from amun.audit.gate import (
    Verdict,
    contradicts_memory,
    is_at_most,
    judge_accuracy,
    judge_auc,
    judge_memory,
    judge_overlooked,
    judge_spread,
    judge_trace,
)
from amun.audit.roc import auc_standard_error


@pytest.mark.parametrize(
    ("auc", "num_forget", "passed"),
    [(0.5, 150, True), (0.64, 150, True), (0.65, 150, False), (0.36, 150, True), (0.35, 150, False), (0.65, 40, True)],
)
def test_an_auc_is_refused_where_it_is_shown_to_lie_outside_on_either_side(
    auc: float, num_forget: int, passed: bool
) -> None:
    assert judge_auc(auc, num_forget, 450, margin=0.1).passed is passed


def test_the_reason_shows_the_figures() -> None:
    assert judge_auc(0.6, 150, 450, 0.1).reason == "|FT AUC 0.600 - 0.5| - 0.045 = 0.055, at most 0.1"
    assert judge_spread(1.5, 2.0) == Verdict(True, "spread by person 1.50, at most 2.00")
    assert judge_spread(2.5, 2.0) == Verdict(False, "spread by person 2.50, more than 2.00")
    assert judge_overlooked(-0.5, 0.25) == Verdict(True, "overlooked people -0.500, at most 0.250")
    assert judge_overlooked(0.5, 0.25) == Verdict(False, "overlooked people 0.500, more than 0.250")
    assert judge_trace(0.4, None, 0.62) == Verdict(True, "max(trace 0.400, 1 - trace) - 0.000 = 0.600, at most 0.62")
    assert judge_trace(0.7, 0.02, 0.62) == Verdict(False, "max(trace 0.700, 1 - trace) - 0.033 = 0.667, more than 0.62")
    assert judge_trace(0.34, 0.05, 0.62) == Verdict(True, "max(trace 0.340, 1 - trace) - 0.050 = 0.610, at most 0.62")
    assert judge_accuracy(0.96, 0.97, 0.02).reason == "accuracy 0.9600 is 0.0100 below 0.9700, at most 0.02"
    unknown = Verdict(False, "memory left has no bound: what the base remembered is not shown")
    assert judge_memory(None, 0.1, 0.5) == judge_memory((-0.2, 0.4), None, 0.5) == unknown
    assert judge_auc(0.66, 150, 450, 0.1).reason == "|FT AUC 0.660 - 0.5| - 0.045 = 0.115, more than 0.1"
    assert judge_memory((-0.2, 0.4), 0.1, 0.5).reason == "memory left 0.10 [-0.20, 0.40], within 0.5 of 0"
    assert judge_memory((-0.2, 0.6), 0.2, 0.5).reason == "memory left 0.20 [-0.20, 0.60], not within 0.5 of 0"
    assert judge_accuracy(0.94, 0.97, 0.02).reason == "accuracy 0.9400 is 0.0300 below 0.9700, more than 0.02"


@pytest.mark.parametrize("num_images", [20, 57, 150, 1000])
def test_few_images_open_no_door_to_a_trace(num_images: int) -> None:
    error = auc_standard_error(num_images, num_images)
    assert judge_trace(0.66, error, 0.62).passed is (num_images < 1000)
    assert not judge_trace(0.68, error, 0.62).passed, "AMUN had 0.671 to 0.754"


def test_a_margin_met_exactly_passes() -> None:
    margin = 0.15 - 1.645 * auc_standard_error(150, 450)
    assert judge_auc(0.65, 150, 450, margin).passed
    assert judge_auc(0.35, 150, 450, margin).passed
    assert judge_memory((-0.5, 0.5), 0.0, 0.5).passed
    assert judge_spread(2.0, 2.0).passed
    assert not judge_spread(2.0 + 1e-10, 2.0).passed
    assert judge_overlooked(0.25, 0.25).passed
    assert not judge_overlooked(0.25 + 1e-10, 0.25).passed
    assert is_at_most(0.97 - 0.95, 0.02)
    assert not is_at_most(0.5 + 1e-8, 0.5)


@pytest.mark.parametrize(
    ("bounds", "is_shown"),
    [
        ((0.51, 0.9), True),
        ((-0.9, -0.51), True),
        ((0.5, 0.9), False),
        ((-0.9, -0.5), False),
        ((-0.9, 0.9), False),
        ((-0.4, 0.4), False),
        (None, False),
    ],
)
def test_memory_is_shown_where_the_whole_interval_lies_outside(
    bounds: tuple[float, float] | None, is_shown: bool
) -> None:
    assert contradicts_memory(bounds, 0.5) is is_shown


@pytest.mark.parametrize(
    ("accuracy", "yardstick", "passed"),
    [(0.95, 0.97, True), (0.949, 0.97, False), (0.99, 0.97, True), (0.58, 0.6, True), (0.28, 0.3, True)],
)
def test_accuracy_may_drop_by_as_much_and_no_more(accuracy: float, yardstick: float, passed: bool) -> None:
    assert judge_accuracy(accuracy, yardstick, max_drop=0.02).passed is passed
