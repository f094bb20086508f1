"""The bench of learning rates chooses by the calibration half, within the loss of accuracy that the gate allows."""

from dataclasses import replace

from amun.core.params import AttemptParams
from bench.rates import TRIED, RateRow, choose_rate

ROW = RateRow(100, "adaptive_boundary", "amun", 0.03, 0.51, 0.02, 0.005, 0.6, passed=True)


def test_the_nearest_rate_is_chosen_among_those_that_stay_accurate_enough() -> None:
    by_rate = {
        0.03: [ROW, replace(ROW, seed=101, gap=0.04)],
        0.05: [replace(ROW, learning_rate=0.05, gap=0.025)],
        0.1: [replace(ROW, learning_rate=0.1, gap=0.001, accuracy_drop=0.03)],
    }
    assert choose_rate(by_rate, 0.02) == 0.05
    assert choose_rate(by_rate, 0.04) == 0.1
    assert choose_rate(by_rate, 0.001) is None


def test_every_method_is_tried_at_every_rate_alone() -> None:
    attempts = [AttemptParams(method=method, learning_rate=0.015) for method in TRIED]
    assert [attempt.learning_rate for attempt in attempts] == [0.015] * len(TRIED)
