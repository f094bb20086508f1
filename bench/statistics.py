"""Means over seeds, and whether a method comes nearer to exact retraining than the base it started from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from bench.seed import BASE, RETRAINED, Row

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Comparison:
    """|FT AUC - that of exact retraining|, paired over the seeds.

    Attributes:
        name: the method.
        num_seeds: pairs.
        distance: mean after the method.
        distance_base: mean before it.
        difference: mean of after less before; negative: the method comes nearer to exact retraining.
        low: end of the 95 % interval of the difference (Student's t); None from a single seed.
        high: the other end.
    """

    name: str
    num_seeds: int
    distance: float
    distance_base: float
    difference: float
    low: float | None
    high: float | None


def compare_with_retraining(seeds: Sequence[Sequence[Row]]) -> list[Comparison]:
    """Returns a comparison for each method between the base and exact retraining.

    Args:
        seeds: the rows of each seed.
    """
    tables = [{row.name: row.ft_auc for row in rows} for rows in seeds]
    return [_compare(name, tables) for name in list_names(seeds) if name not in (BASE, RETRAINED)]


def list_names(seeds: Sequence[Sequence[Row]]) -> list[str]:
    """Returns the names of all rows, in their order; in one seed or another a row may be missing."""
    longest = max(seeds, key=len)
    names = [row.name for row in longest]
    return [*names, *sorted({row.name for rows in seeds for row in rows} - set(names))]


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Returns the mean and the standard deviation of a sample, 0 of a single value."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _compare(name: str, tables: Sequence[dict[str, float]]) -> Comparison:
    measured = [table for table in tables if name in table]
    after = np.array([abs(table[name] - table[RETRAINED]) for table in measured])
    before = np.array([abs(table[BASE] - table[RETRAINED]) for table in measured])
    differences = after - before
    low, high = find_interval(differences.tolist())
    distance, distance_base, difference = (round(float(values.mean()), 4) for values in (after, before, differences))
    return Comparison(name, len(measured), distance, distance_base, difference, low, high)


def find_interval(values: Sequence[float]) -> tuple[float, float] | tuple[None, None]:
    """Returns the interval of the mean by Student's t."""
    if len(values) < 2:
        return None, None
    mean, deviation = mean_and_deviation(values)
    half_width = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * deviation / len(values) ** 0.5
    return round(mean - half_width, 4), round(mean + half_width, 4)
