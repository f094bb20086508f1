"""The gate: its bounds on either side, at equality, and with too few samples."""

import numpy as np
import pytest

from amun.audit.gate import compute_power, is_sufficient, judge_accuracy, judge_forgetting, shows_memory
from amun.audit.roc import auc_standard_error


@pytest.mark.parametrize(
    ("auc", "num_forget", "passed"),
    [
        (0.5, 150, True),
        (0.55, 150, True),  # 0.05 + 1.645 * 0.0272
        (0.56, 150, False),
        (0.45, 150, True),
        (0.44, 150, False),
        (0.55, 100, False),  # the fewer the data, the harder to pass
        (0.5, 20, False),
    ],
)
def test_forgetting_is_shown_on_either_side(auc: float, num_forget: int, passed: bool) -> None:
    assert judge_forgetting(auc, num_forget, 450, margin=0.1).passed is passed


def test_the_reason_shows_the_figures() -> None:
    assert judge_forgetting(0.56, 150, 450, 0.1).reason == "|FT AUC 0.560 - 0.5| + 0.045 = 0.105, not within 0.1"
    assert judge_accuracy(0.94, 0.97, 0.02).reason == "accuracy 0.9400 is 0.0300 below 0.9700, more than 0.02"


@pytest.mark.parametrize(("num_forget", "margin"), [(40, 0.1), (80, 0.1), (150, 0.1), (150, 0.05)])
def test_power_is_the_share_of_exact_models_that_pass(num_forget: int, margin: float) -> None:
    error = auc_standard_error(num_forget, 450)
    aucs = np.random.default_rng(0).normal(0.5, error, size=4000)
    share = np.mean([judge_forgetting(auc, num_forget, 450, margin).passed for auc in aucs])
    assert compute_power(num_forget, 450, margin) == pytest.approx(share, abs=0.025)


@pytest.mark.parametrize(("num_forget", "expected"), [(12, False), (40, False), (80, False), (90, True), (150, True)])
def test_a_night_is_sufficient_where_exact_retraining_passes_in_four_of_five(num_forget: int, expected: bool) -> None:
    assert is_sufficient(num_forget, 450, 0.1) is expected


def test_no_samples_show_nothing() -> None:
    assert not is_sufficient(0, 450, 0.1)
    assert not is_sufficient(150, 0, 0.1)


@pytest.mark.parametrize(("auc", "expected"), [(0.5, False), (0.65, False), (0.75, True), (0.35, False), (0.25, True)])
def test_memory_is_shown_on_either_side_where_the_whole_interval_is_outside(auc: float, expected: bool) -> None:
    assert shows_memory(auc, 40, 450, 0.1) is expected


def test_a_margin_met_exactly_passes() -> None:
    margin = 0.05 + 1.645 * auc_standard_error(150, 450)
    assert judge_forgetting(0.55, 150, 450, margin).passed
    assert judge_forgetting(0.45, 150, 450, margin).passed


@pytest.mark.parametrize(
    ("accuracy", "yardstick", "passed"),
    [(0.95, 0.97, True), (0.949, 0.97, False), (0.99, 0.97, True), (0.58, 0.6, True), (0.28, 0.3, True)],
)
def test_accuracy_may_drop_by_as_much_and_no_more(accuracy: float, yardstick: float, passed: bool) -> None:
    assert judge_accuracy(accuracy, yardstick, max_drop=0.02).passed is passed
