"""Spread over runs, gaps to exact retraining, and whether a method comes nearer to it than AMUN does."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from amun.study.records import Figures

CONFIDENCE = 0.95
NUM_RESAMPLES = 10_000
BOOTSTRAP_SEED = 0
ONE_PAIR = "one pair: not compared"
ENOUGH_PAIRS = 6  # that all fall on one side happens by chance in less than 5 % of cases from here on: 2 / 2^6


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation over runs.

    Attributes:
        mean: of the values.
        deviation: the sample's (n - 1); None of a single value.
        count: number of values.
    """

    mean: float
    deviation: float | None
    count: int


@dataclass(frozen=True)
class Gaps:
    """Distances |method - exact retraining| in points (percent), of one run."""

    unlearn_accuracy: float
    remain_accuracy: float
    held_out_accuracy: float
    svc_confidence: float
    ft_auc: float
    fr_auc: float
    rt_auc: float

    @property
    def average_svc(self) -> float:
        """Mean of the three accuracies' gaps and that of the SVC attack's confidence."""
        return (self._sum_accuracies() + self.svc_confidence) / 4

    @property
    def average_rmia(self) -> float:
        """Mean of the three accuracies' gaps and that of RMIA's FT AUC."""
        return (self._sum_accuracies() + self.ft_auc) / 4

    def _sum_accuracies(self) -> float:
        return self.unlearn_accuracy + self.remain_accuracy + self.held_out_accuracy


@dataclass(frozen=True)
class Comparison:
    """A method's gap less AMUN's, paired over forget sets and seeds; negative: nearer to exact retraining than AMUN.

    Attributes:
        difference: mean over the pairs, in points.
        low: end of the 95 % interval of the bootstrap over forget sets and seeds; None from a single pair.
        high: the other end.
        num_pairs: runs of both.
    """

    difference: float
    low: float | None
    high: float | None
    num_pairs: int

    @property
    def verdict(self) -> str:
        """`ahead` of AMUN, `behind` it, or a `tie`; with few pairs their number, for then the interval is too short."""
        if self.low is None or self.high is None:
            return ONE_PAIR
        word = "ahead" if self.high < 0 else "behind" if self.low > 0 else "tie"
        return word if self.num_pairs >= ENOUGH_PAIRS else f"{word} ({self.num_pairs} pairs only)"


def summarise(values: Sequence[float]) -> Spread | None:
    """Returns mean and standard deviation; None of nothing."""
    if not values:
        return None
    return Spread(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None, len(values))


def summarise_places(runs: Sequence[Sequence[float]]) -> list[Spread]:
    """Returns the spread over the runs at each place of their sequences, as far as the shortest goes."""
    by_place = zip(*runs, strict=False)
    return [spread for values in by_place if (spread := summarise(values)) is not None]


def measure_gaps(figures: Figures, retrained: Figures) -> Gaps:
    """Returns the distances of a model to the exactly retrained one of the same forget set and seed."""
    pairs = {
        "unlearn_accuracy": (figures.unlearn_accuracy, retrained.unlearn_accuracy),
        "remain_accuracy": (figures.remain_accuracy, retrained.remain_accuracy),
        "held_out_accuracy": (figures.held_out_accuracy, retrained.held_out_accuracy),
        "svc_confidence": (figures.svc_confidence, retrained.svc_confidence),
        "ft_auc": (figures.ft.auc, retrained.ft.auc),
        "fr_auc": (figures.fr.auc, retrained.fr.auc),
        "rt_auc": (figures.rt.auc, retrained.rt.auc),
    }
    return Gaps(**{name: 100 * abs(ours - theirs) for name, (ours, theirs) in pairs.items()})


def compare_pairs(
    gaps: Sequence[float], gaps_amun: Sequence[float], forget_sets: Sequence[int], seeds: Sequence[int]
) -> Comparison | None:
    """Returns the bootstrap of a method's gaps less AMUN's; None without a pair.

    Runs share forget sets and bases, so both are redrawn, each whole: the pigeonhole bootstrap (Owen, The Annals of
    Applied Statistics, 2007; arXiv 0712.1111).

    Args:
        gaps: of the method's runs, in points.
        gaps_amun: of AMUN's, in the same order.
        forget_sets: of these runs.
        seeds: of these runs.
    """
    differences = np.asarray(gaps, dtype=np.float64) - np.asarray(gaps_amun, dtype=np.float64)
    count = len(differences)
    if count < 2:
        return Comparison(float(differences[0]), None, None, 1) if count else None
    draw = np.random.default_rng(BOOTSTRAP_SEED)
    weights = _redraw(forget_sets, draw) * _redraw(seeds, draw)
    weights = weights[weights.any(axis=1)]  # of a failed run nothing may be drawn
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(weights @ differences / weights.sum(axis=1), [tail, 1 - tail])
    return Comparison(float(differences.mean()), float(low), float(high), count)


def _redraw(levels: Sequence[int], draw: np.random.Generator) -> npt.NDArray[np.int64]:
    """Returns (R, N): how often the level of each of N runs comes up where all levels are redrawn, R times."""
    distinct, places = np.unique(levels, return_inverse=True)
    number = len(distinct)
    return draw.multinomial(number, np.full(number, 1 / number), size=NUM_RESAMPLES)[:, places]
