"""The gate: its bounds on either side, at equality, and with too few samples."""

import pytest

from amun.audit.gate import is_judgeable, judge_accuracy, judge_forgetting
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


@pytest.mark.parametrize(("num_forget", "num_held_out"), [(30, 450), (32, 450), (33, 450), (150, 450), (150, 20)])
def test_judgeable_is_what_could_pass_at_one_half(num_forget: int, num_held_out: int) -> None:
    could_pass = judge_forgetting(0.5, num_forget, num_held_out, 0.1).passed
    assert is_judgeable(num_forget, num_held_out, 0.1) is could_pass


def test_no_samples_are_not_judgeable() -> None:
    assert not is_judgeable(0, 450, 0.1)
    assert not is_judgeable(150, 0, 0.1)


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
