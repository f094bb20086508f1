"""What the bench prints: the machine, the rows, the comparisons."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path

import torch

from bench.seed import Row
from bench.statistics import Comparison, list_names, mean_and_deviation


def describe_machine(device: torch.device) -> str:
    """Returns processor, cores, device and versions in one line."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    processors = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = processors[0] if processors else platform.processor()
    computed_on = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} thread"
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    return f"{processor}, {os.cpu_count()} cores, on {computed_on}; {versions}"


def print_rows(seeds: Sequence[Sequence[Row]]) -> None:
    """Prints mean and standard deviation over the seeds for each model."""
    print("\nTest half; the gate (both bounds, exact retraining held to them too) on the calibration half.")
    print(f"{'':<28}{'FT AUC':>15}{'accuracy %':>15}{'passes':>10}{'seconds':>15}")
    for name in list_names(seeds):
        rows = [row for part in seeds for row in part if row.name == name]
        cells = (
            _spread([row.ft_auc for row in rows], 3),
            _spread([100 * row.accuracy for row in rows], 1),
            f"{sum(row.passed for row in rows)} of {len(seeds)}",
            _spread([row.seconds for row in rows], 1),
        )
        print(f"{name:<28}{cells[0]:>15}{cells[1]:>15}{cells[2]:>10}{cells[3]:>15}")


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
