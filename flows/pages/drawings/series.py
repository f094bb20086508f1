"""Figures over the waves: accuracy and memory left, with their intervals, margins and exact retraining."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from amun.core.counts import tell_count
from amun.ledger import Wave
from flows.pages.drawings.svg import WIDE, Axis, Drawing, draw_both, list_ticks
from flows.pages.wave_result import BOUND_MISSED, bound_share, is_exact
from tasks.views.wave_rules import Bounds

HEIGHT = 280
# memory left of a night of few people has bounds far beyond
LEAST_LEFT, MOST_LEFT = -1.0, 1.5
INTERVALS = "Vertical lines are 95 % intervals."
BOUNDS_OF_MEMORY = f"Vertical lines lie between two bounds, {BOUND_MISSED}."
APPROXIMATE, EXACT, RETRAINED = "disc", "square", "diamond"


@dataclass(frozen=True)
class Point:
    """A wave in one figure.

    Attributes:
        number: the wave.
        value: what was measured; None where nothing was.
        lower: the interval's bound; likewise the upper one.
        retrained: what exact retraining gave, computed for comparison; None where it was not.
        is_exact: the wave's model is exactly retrained, or a new base.
        lowest: the least that the gate lets pass; likewise the highest; None where it sets no such bound.
    """

    number: int
    value: float | None
    lower: float | None
    upper: float | None
    retrained: float | None
    is_exact: bool
    lowest: float | None = None
    highest: float | None = None


def list_accuracy(waves: Sequence[Wave], bounds: dict[int, Bounds]) -> list[Point]:
    """Returns the accuracy of complete waves; its interval is that of so many independent samples."""
    points: list[Point] = []
    for wave in waves:
        if wave.state != "complete" or wave.summary is None:
            continue
        test, bound = wave.summary.test, bounds.get(wave.number)
        is_bare = wave.kind == "base" or is_exact(wave.summary.method)
        # nothing is held to a bound where nothing was to be forgotten
        lowest = None if is_bare or bound is None or not wave.summary.num_forget else bound.least_accuracy
        error = bound_share(test.accuracy, test.num_test)
        lower, upper = (None, None) if test.accuracy is None else (test.accuracy - error, test.accuracy + error)
        retrained = None if wave.comparison is None else wave.comparison.accuracy
        points.append(Point(wave.number, test.accuracy, lower, upper, retrained, is_bare, lowest))
    return points


def list_memory(waves: Sequence[Wave], bounds: dict[int, Bounds]) -> list[Point]:
    """Returns memory left after complete waves that have forgotten somebody."""
    points = []
    for wave in waves:
        if wave.state != "complete" or wave.summary is None or not wave.summary.num_forget:
            continue
        test, bound = wave.summary.test, bounds.get(wave.number)
        margin = None if bound is None else bound.rules.max_memory_left
        lower, upper = test.bounds or (None, None)
        value = test.memory_left if test.bounds else None
        retrained = None if wave.comparison is None or wave.comparison.bounds is None else wave.comparison.memory_left
        lowest = None if margin is None else -margin
        exact = is_exact(wave.summary.method)
        points.append(Point(wave.number, value, lower, upper, retrained, exact, lowest, margin))
    return points


def draw_accuracy(points: Sequence[Point]) -> Markup:
    """Returns accuracy over the waves; nothing where none was measured."""
    values = _list_values(points)
    if not values:
        return Markup()
    low, high = max(0.0, min(values)), min(1.0, max(values))
    spare = max(0.1 * (high - low), 0.005)
    axis = max(0.0, low - spare), min(1.0, high + spare)
    title = "Share of people never trained on whom each wave's model labels right"
    return draw_both(lambda width: _draw("accuracy", title, points, axis, INTERVALS, width))


def draw_memory(points: Sequence[Point]) -> Markup:
    """Returns memory left over the waves; nothing where none was measured."""
    values = _list_values(points)
    if not any(point.value is not None for point in points):
        return Markup()
    axis = max(LEAST_LEFT, min(values) - 0.05), min(MOST_LEFT, max(1.0, *values) + 0.05)
    title = "How much of what the model before remembered of each wave's people is left"
    return draw_both(lambda width: _draw("memory", title, points, axis, BOUNDS_OF_MEMORY, width))


def _list_values(points: Sequence[Point]) -> list[float]:
    every = [(one.value, one.lower, one.upper, one.retrained, one.lowest, one.highest) for one in points]
    return [value for values in every for value in values if value is not None]


def _draw(
    name: str, title: str, points: Sequence[Point], ends: tuple[float, float], intervals: str, width: int
) -> Drawing:
    drawing = Drawing(name, width, HEIGHT, title, f"{_describe(points, ends)} {intervals} The table has the figures.")
    legend = [(APPROXIMATE, "done", "unlearned"), (EXACT, "done", "exactly retrained, or a new base")]
    legend += [(RETRAINED, "retrained", "exact retraining, computed to compare")] * any(
        point.retrained is not None for point in points
    )
    legend += [("line", "margin", "the gate's bound")] * any(
        value is not None for point in points for value in (point.lowest, point.highest)
    )
    top, foot = drawing.legend(16, legend) + 4, HEIGHT - 42
    first, last = points[0].number, points[-1].number
    across, up = Axis(first - 0.5, last + 0.5, 50, width - 14), Axis(*ends, foot, top)
    drawing.ticks_left(up, 50, width - 14, [(tick, f"{100 * tick:g} %") for tick in list_ticks(*ends, 5)])
    if ends[0] < 0 < ends[1]:
        drawing.line(50, up.place(0), width - 14, up.place(0), "axis")
    for bound in ("lowest", "highest"):
        _add_bound(drawing, across, up, [(point.number, getattr(point, bound)) for point in points])
    size = max(1.6, min(4.0, (width - 64) / (3 * (last - first + 1))))
    for point in points:
        _add_point(drawing, across, up, point, size)
    drawing.line(50, foot, width - 14, foot, "axis")
    num_steps = min(last - first, 12 if width == WIDE else 6)
    ticks = list_ticks(first, last, num_steps) if num_steps else [first]
    drawing.ticks_below(across, foot, [(tick, f"{tick:g}") for tick in ticks if tick == int(tick)])
    drawing.text((36 + width) / 2, foot + 36, "wave", "small", "middle")
    return drawing


def _add_bound(drawing: Drawing, across: Axis, up: Axis, steps: Sequence[tuple[int, float | None]]) -> None:
    """Adds the gate's bound as a line that is broken where there is none."""
    run: list[tuple[float, float]] = []
    for number, value in [*steps, (0, None)]:
        if value is not None and up.low <= value <= up.high:
            run += [(across.place(number + side), up.place(value)) for side in (-0.5, 0.5)]
        elif run:
            drawing.path(run, "margin")
            run = []


def _add_point(drawing: Drawing, across: Axis, up: Axis, point: Point, size: float) -> None:
    x = across.place(point.number)
    if point.value is not None:
        if point.lower is not None and point.upper is not None:
            class_ = "interval" if size > 2 else "interval dense"
            drawing.line(x, up.place(point.lower), x, up.place(point.upper), class_)
        drawing.mark(EXACT if point.is_exact else APPROXIMATE, x, up.place(point.value), size, "done")
    if point.retrained is not None:
        drawing.mark(RETRAINED, x + 1.6 * size, up.place(point.retrained), size, "retrained")


def _describe(points: Sequence[Point], ends: tuple[float, float]) -> str:
    measured = [point for point in points if point.value is not None]
    values = [point.value for point in measured if point.value is not None]
    outside = sum(
        value is not None and not ends[0] <= value <= ends[1]
        for point in points
        for value in (point.value, point.lower, point.upper)
    )
    cut = f" {tell_count(outside, 'value')} beyond the axis are drawn at its end." if outside else ""
    return (
        f"{tell_count(len(measured), 'wave')} measured, from {min(values):.1%} to {max(values):.1%}; the last one "
        f"{values[-1]:.1%}.{cut}"
    )
