"""Whether our searches keep what is claimed of them, and a picture of how near against how long."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.measuring import Row
from bench.searches import ALGORITHM_1, FAST, THOROUGH

MIN_GRADIENT_RATIO, MIN_TIME_RATIO = 20, 12  # at a mean distance not above Algorithm 1's
MIN_NEAR_GRADIENT_RATIO, NEARER = 5, 0.95  # at a mean distance at most this share of Algorithm 1's
HIGHEST_SHOWN = 1.1  # in the picture, as a share of Algorithm 1's mean distance
MAX_MISSING = 0.02  # a search that misses more has a mean over the easy samples

Table = dict[str, Row]


def judge(rows: Sequence[Row]) -> list[str]:
    """Returns a line for each figure that is missed: against Algorithm 1, and of the Pareto front."""
    return [miss for table in _group(rows) for miss in [*_judge_ratios(table), *_judge_front(table)]]


def describe_ratios(rows: Sequence[Row]) -> str:
    """Returns all ratios in one line: gradients, time and mean distance of the fast search, then the nearest one."""
    parts = []
    for table in _group(rows):
        reference, fast, near = table[ALGORITHM_1], table[FAST], _choose_near(table)
        parts.append(
            f"{reference.model} x{reference.batch_size}: "
            f"{reference.num_gradients / fast.num_gradients:.1f}x fewer gradients, "
            f"{reference.cpu_seconds / fast.cpu_seconds:.1f}x less time "
            f"at {fast.mean_norm / reference.mean_norm:.3f} of its distance, "
            f"{reference.num_gradients / near.num_gradients:.1f}x fewer "
            f"at {near.mean_norm / reference.mean_norm:.3f}"
        )
    return "against Algorithm 1: " + "; ".join(parts)


def draw_front(rows: Sequence[Row], path: Path) -> None:
    """Draws mean distance against time for each model and batch size, our searches filled."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    tables = list(_group(rows))
    num_columns = min(3, len(tables))
    num_rows = -(-len(tables) // num_columns)
    figure, axes = plt.subplots(num_rows, num_columns, figsize=(6 * num_columns, 5 * num_rows), squeeze=False)
    for axis in axes.flat[len(tables) :]:
        axis.remove()
    for axis, table in zip(axes.flat, tables, strict=False):
        highest = HIGHEST_SHOWN * table[ALGORITHM_1].mean_norm
        for row in table.values():
            _draw_row(axis, row, highest)
        first = next(iter(table.values()))
        axis.set_xscale("log")
        axis.set_ylim(top=1.08 * highest)
        axis.set_xlabel("CPU milliseconds a sample")
        axis.set_ylabel("mean L2 distance of what was found")
        axis.set_title(
            f"{first.model}, batches of {first.batch_size}\n"
            f"ours blue; hollow: misses above {MAX_MISSING:.0%}; triangle: lies higher",
            fontsize=9,
        )
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    with plt.rc_context({"svg.hashsalt": "amun", "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None})


def _draw_row(axis: Any, row: Row, highest: float) -> None:
    is_ours, is_partial = row.search.startswith("amun"), row.missing > MAX_MISSING
    color, style = ("tab:blue", "o") if is_ours else ("tab:orange", "s")
    place = (1000 * row.cpu_seconds, min(row.mean_norm, highest))
    marker = "^" if row.mean_norm > highest else style
    axis.scatter(*place, c="none" if is_partial else color, edgecolors=color, marker=marker)
    axis.annotate(row.search.removeprefix("amun "), place, (3, 3), textcoords="offset points", fontsize=6, rotation=30)


def _group(rows: Sequence[Row]) -> Iterator[Table]:
    for key in dict.fromkeys((row.model, row.batch_size) for row in rows):
        yield {row.search: row for row in rows if (row.model, row.batch_size) == key}


def _judge_ratios(table: Table) -> Iterator[str]:
    reference, fast = table[ALGORITHM_1], table[FAST]
    where = f"{fast.model}, batches of {fast.batch_size}"
    if fast.mean_norm > reference.mean_norm:
        yield f"missed: {where}: {FAST} is farther than Algorithm 1"
    if (ratio := reference.num_gradients / fast.num_gradients) < MIN_GRADIENT_RATIO:
        yield f"missed: {where}: {ratio:.1f}x fewer gradients, not {MIN_GRADIENT_RATIO}x"
    if (ratio := reference.cpu_seconds / fast.cpu_seconds) < MIN_TIME_RATIO:
        yield f"missed: {where}: {ratio:.1f}x less time, not {MIN_TIME_RATIO}x"
    near = _choose_near(table)
    if near.mean_norm > NEARER * reference.mean_norm:
        yield f"missed: {where}: no search of ours is {1 - NEARER:.0%} nearer than Algorithm 1"
    elif (ratio := reference.num_gradients / near.num_gradients) < MIN_NEAR_GRADIENT_RATIO:
        yield f"missed: {where}: {ratio:.1f}x fewer gradients at {NEARER} of its distance"


def _choose_near(table: Table) -> Row:
    """Returns the shipped setting where it is near enough, else the thorough one."""
    is_near = table[FAST].mean_norm <= NEARER * table[ALGORITHM_1].mean_norm
    return table[FAST] if is_near else table[THOROUGH]


def _judge_front(table: Table) -> Iterator[str]:
    ours = [row for row in table.values() if row.search.startswith("amun")]
    for peer in table.values():
        if peer in ours or peer.missing > MAX_MISSING:
            continue
        if not any(row.cpu_seconds <= peer.cpu_seconds and row.mean_norm <= peer.mean_norm for row in ours):
            yield f"missed: {peer.model}, batches of {peer.batch_size}: {peer.search} is on the front"
