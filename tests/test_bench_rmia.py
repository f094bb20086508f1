"""The bench of RMIA compares both ways on the same logits, and is strict about its bounds."""

import pytest

from bench.rmia import MAX_MIB, Speed, measure_speed
from tests.amun.shipped import PARAMS


def test_both_ways_are_measured_and_agree() -> None:
    speed = measure_speed(300, 4, PARAMS.audit)
    assert 0 < speed.pairs < speed.whole
    assert 0 < speed.old_pairs < speed.old_whole
    assert speed.whole_mib > 0


@pytest.mark.parametrize(
    ("speed", "is_kept"),
    [
        (Speed(0.01, 0.1, MAX_MIB, 1.0, 1.0), True),
        (Speed(0.02, 0.1, MAX_MIB, 1.0, 1.0), False),
        (Speed(0.01, 0.2, MAX_MIB, 1.0, 1.0), False),
        (Speed(0.01, 0.1, MAX_MIB + 1, 1.0, 1.0), False),
    ],
)
def test_each_bound_counts(speed: Speed, is_kept: bool) -> None:
    assert speed.is_kept is is_kept
    assert str(speed).endswith(": kept" if is_kept else ": not kept")
