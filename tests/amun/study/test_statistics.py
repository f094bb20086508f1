"""Gaps, spreads and the paired bootstrap, against figures worked out by hand."""

import pytest

from amun.study.statistics import Spread, compare_pairs, measure_gaps, summarise
from tests.amun.study.studies import make_attack, make_figures


def test_spread() -> None:
    assert summarise([1.0, 3.0]) == Spread(2.0, 2**0.5, 2)
    assert summarise([5.0]) == Spread(5.0, None, 1)
    assert summarise([]) is None


def test_average_gaps_have_one_term_apart() -> None:
    retrained = make_figures(unlearn_accuracy=0.9, remain_accuracy=1.0, held_out_accuracy=0.9, svc_confidence=0.3)
    method = make_figures(
        unlearn_accuracy=0.94,
        remain_accuracy=0.98,
        held_out_accuracy=0.86,
        svc_confidence=0.24,
        ft=make_attack(0.40),
    )
    gaps = measure_gaps(method, retrained)
    assert gaps.average_svc == pytest.approx((4 + 2 + 4 + 6) / 4)
    assert gaps.average_rmia == pytest.approx((4 + 2 + 4 + 10) / 4)
    assert measure_gaps(retrained, retrained).average_svc == 0


@pytest.mark.parametrize(
    ("gaps", "verdict"),
    [
        ([1.0, 1.5, 1.2, 1.1, 1.4, 1.3], "ahead"),
        ([3.0, 3.5, 3.2, 3.1, 3.4, 3.3], "behind"),
        ([1.0, 3.0, 1.5, 2.5, 2.1, 1.9], "tie"),
        ([1.0, 1.5, 1.2], "ahead (3 pairs only)"),
        ([1.0], "one pair: not compared"),
    ],
)
def test_comparison_with_amun(gaps: list[float], verdict: str) -> None:
    comparison = compare_pairs(gaps, [2.0] * len(gaps), *one_set(len(gaps)))
    assert comparison is not None
    assert comparison.verdict == verdict
    assert comparison.difference == pytest.approx(sum(gaps) / len(gaps) - 2)


def test_comparison_is_paired_and_repeats() -> None:
    gaps_amun = [1.0, 5.0, 9.0, 13.0, 2.0, 7.0]
    comparison = compare_pairs([gap - 0.5 for gap in gaps_amun], gaps_amun, *one_set(6))
    assert comparison is not None
    assert comparison.low == pytest.approx(-0.5)
    assert comparison.high == pytest.approx(-0.5)
    uneven = [0.2, 0.4, 0.1, 0.9, 0.3, 0.5]
    assert compare_pairs(uneven, [0.3] * 6, *one_set(6)) == compare_pairs(uneven, [0.3] * 6, *one_set(6))
    assert compare_pairs([], [], [], []) is None


def test_runs_that_share_a_forget_set_are_not_new_evidence() -> None:
    """Nine runs that say what three say are as sure as three."""
    by_set, sets, seeds = [0.1, 0.4, 1.0], [1, 1, 1, 2, 2, 2, 3, 3, 3], [0, 1, 2] * 3
    three = compare_pairs(by_set, [0.0] * 3, [1, 2, 3], [0, 0, 0])
    nine = compare_pairs([gap for gap in by_set for _ in range(3)], [0.0] * 9, sets, seeds)
    turned = compare_pairs(by_set * 3, [0.0] * 9, sets, seeds)
    assert three is not None
    assert nine is not None
    assert turned is not None
    for comparison in (nine, turned):
        assert (comparison.low, comparison.high) == pytest.approx((three.low, three.high), abs=0.02)
        assert (comparison.low, comparison.high) == pytest.approx((0.1, 1.0))


def test_run_that_failed_is_no_pair() -> None:
    comparison = compare_pairs([0.5, 0.5, 0.5], [0.0] * 3, [1, 1, 2], [0, 1, 0])
    assert comparison is not None
    assert (comparison.low, comparison.high, comparison.num_pairs) == (0.5, 0.5, 3)


def one_set(num_seeds: int) -> tuple[list[int], list[int]]:
    return [1] * num_seeds, [*range(num_seeds)]
