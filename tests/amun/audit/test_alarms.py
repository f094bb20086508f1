"""The bound of an alarm: of what was seen of exact retraining, one more figure in a hundred lies above it at most."""

import numpy as np
import pytest
from scipy.stats import t

from amun.audit.alarms import ALARM_ALPHA, ALARMS, MAX_ALARMED, bound_surprise


@pytest.mark.parametrize("num_pairs", [3, 8])
@pytest.mark.parametrize("is_twin_alike", [False, True])
def test_one_more_figure_lies_above_it_once_in_a_hundred(num_pairs: int, is_twin_alike: bool) -> None:
    """Whether complementary references say the same or have nothing in common."""
    random, num_draws = np.random.default_rng(0), 4000
    pairs = random.normal(1, 0.5, (num_draws, num_pairs))
    twins = pairs if is_twin_alike else random.normal(1, 0.5, (num_draws, num_pairs))
    seen = np.concatenate([pairs, twins], axis=1)
    bounds = np.array([bound_surprise(each.tolist(), num_pairs) for each in seen])
    share = float((random.normal(1, 0.5, num_draws) > bounds).mean())
    assert share <= 0.013
    assert share >= (0.005 if is_twin_alike else 0.0)


def test_it_is_the_bound_of_a_prediction() -> None:
    seen = [0.5, 0.9, 0.6, 0.8]
    expected = 0.7 + t.ppf(1 - ALARM_ALPHA, 3) * np.std(seen, ddof=1) * np.sqrt(1 + 1 / 4)
    assert bound_surprise(seen, 4) == pytest.approx(expected)


def test_together_the_alarms_have_the_share_that_a_night_sets_aside() -> None:
    assert pytest.approx(MAX_ALARMED) == ALARM_ALPHA * len(ALARMS)
