"""What the bench prints: the rows, the comparisons."""

from collections.abc import Sequence

from bench.seed import Row
from bench.statistics import Comparison, list_names, mean_and_deviation


def print_rows(seeds: Sequence[Sequence[Row]]) -> None:
    """Prints mean and standard deviation over the seeds for each model."""
    print("\nTest half; the gate (both bounds, exact retraining held to them too) on the calibration half.")
    print(f"{'':<28}{'FT AUC':>15}{'accuracy %':>15}{'trace':>15}{'passes':>10}{'seconds':>15}")
    for name in list_names(seeds):
        rows = [row for part in seeds for row in part if row.name == name]
        cells = (
            _spread([row.ft_auc for row in rows], 3),
            _spread([100 * row.accuracy for row in rows], 1),
            _spread([row.trace for row in rows], 3),
            f"{sum(row.passed for row in rows)} of {len(seeds)}",
            _spread([row.seconds for row in rows], 1),
        )
        print(f"{name:<28}{cells[0]:>15}{cells[1]:>15}{cells[2]:>15}{cells[3]:>10}{cells[4]:>15}")


def print_comparisons(comparisons: Sequence[Comparison]) -> None:
    """Prints how far from exact retraining each method ends, against the base it started from."""
    print("\nDistance |FT AUC - that of exact retraining|, paired over the seeds; below 0: nearer than the base was.")
    print(f"{'':<28}{'before':>8}{'after':>8}{'after - before':>18}{'95 % interval':>20}")
    for comparison in comparisons:
        ends = [f"{end:+.3f}" for end in (comparison.low, comparison.high) if end is not None]
        interval = f"[{', '.join(ends)}]" if ends else "-"
        print(
            f"{comparison.name:<28}{comparison.distance_base:>8.3f}{comparison.distance:>8.3f}"
            f"{comparison.difference:>+18.3f}{interval:>20}"
        )


def _spread(values: Sequence[float], digits: int) -> str:
    mean, deviation = mean_and_deviation(values)
    return f"{mean:.{digits}f} ± {deviation:.{digits}f}"
