"""The theory, looked at: what becomes of the unlearned model when its adversarial examples lie farther than needed.

AMUN's bound (arXiv 2503.00917) is on the distance of the parameters to those of the retrained model; it grows with
delta, the distance of the adversarial examples from the samples.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from amun.study.figures.drawing import (
    BLACK,
    BLUE,
    GREY,
    VERMILLION,
    Drawing,
    clean,
    list_spread,
    open_figure,
)
from amun.study.records import BASE, SETTINGS, Record, Setting
from amun.study.runs import find_retrained, name_draw
from amun.study.statistics import Spread, measure_gaps, summarise

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STYLES: dict[Setting, tuple[str, str, str]] = {"use": (BLUE, "-", "o"), "none": (VERMILLION, "--", "s")}
ASIDE: dict[Setting, float] = {"use": -0.01, "none": 0.01}  # of the axis, so that no bar hides another
CAPTION = (
    "AMUN with adversarial examples taken farther than needed, as many times as stands above, with the same labels; "
    "the two settings, whose examples are the same, are drawn beside each other. If the bound is what matters, the "
    "distance of the weights to exact retraining and the gap in FT AUC grow to the right. Farther examples are clamped "
    "to valid pixels, and the base may label them otherwise than the nearest ones: where these shares, the same in "
    "both settings, are large, delta is not all that has changed. Grey: the untouched base. The axes need not begin at "
    "0. Bars: standard deviation over the runs."
)


@dataclass(frozen=True)
class Point:
    """AMUN at one factor in one setting, or the base; each figure over the runs."""

    setting: Setting
    factor: float
    delta_norm: Spread | None
    distance: Spread | None
    ft_gap: Spread | None
    clamped: Spread | None
    flipped: Spread | None


Read = Callable[[Point], Spread | None]
Cells = dict[str, str | int | float | None]


def draw_figure_delta(records: Sequence[Record]) -> Drawing | None:
    """Returns distance and gap against the mean `delta_norm`, and what the farther examples suffer."""
    points = _list_points(records)
    if not points:
        return None
    figure = open_figure(11.4, 4.2)
    panels = figure.subplots(1, 3)
    base, of_one = _find_base(records), [point for point in points if point.setting == points[0].setting]
    _draw_lines(panels[0], points, base, "L2 distance of the weights to retraining", lambda point: point.distance)
    _draw_lines(panels[1], points, base, "FT AUC gap to retraining (points)", lambda point: point.ft_gap)
    _draw_shares(panels[2], of_one)
    for axes in panels:
        axes.set_xlabel("mean delta_norm (L2, pixels in [0, 1])")
        clean(axes)
        _mark_factors(axes, of_one)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=len(labels), frameon=False, handlelength=3)
    title = "Figure delta: does the distance of the adversarial examples matter?"
    return Drawing("figure_delta", title, CAPTION, figure, _list_rows(points, base))


def _list_points(records: Sequence[Record]) -> list[Point]:
    moved = [record for record in records if record.trial.kind == "delta" and record.mean_delta_norm is not None]
    found = {(record.trial.setting, record.trial.delta_factor) for record in moved}
    keys = [(setting, factor) for setting in SETTINGS for factor in sorted({factor for _, factor in found})]
    return [
        _measure([record for record in moved if (record.trial.setting, record.trial.delta_factor) == key], records)
        for key in keys
        if key in found
    ]


def _find_base(records: Sequence[Record]) -> Point | None:
    """Returns the base of the same forget sets and seeds."""
    draws = {name_draw(record.trial) for record in records if record.trial.kind == "delta"}
    own = [
        record
        for record in records
        if (record.trial.kind, record.trial.method) == ("table", BASE) and name_draw(record.trial) in draws
    ]
    return _measure(own, records) if own else None


def _measure(own: Sequence[Record], records: Sequence[Record]) -> Point:
    retrained = find_retrained([record for record in records if record.trial.kind in ("table", "delta")])
    gaps = [
        measure_gaps(record.test, retrained[name_draw(record.trial)]).ft_auc
        for record in own
        if record.test is not None and name_draw(record.trial) in retrained
    ]
    return Point(
        own[0].trial.setting,
        own[0].trial.delta_factor,
        _spread([record.mean_delta_norm for record in own]),
        _spread([record.parameter_distance for record in own]),
        summarise(gaps),
        _spread([record.clamped_share for record in own]),
        _spread([record.flipped_share for record in own]),
    )


def _spread(values: Iterable[float | None]) -> Spread | None:
    return summarise([value for value in values if value is not None])


def _list_marks(points: Sequence[Point], read: Read) -> list[tuple[float, float, Spread]]:
    """Returns factor, mean `delta_norm` and the figure of each point that has it."""
    return [
        (point.factor, point.delta_norm.mean, spread)
        for point in points
        if point.delta_norm is not None and (spread := read(point)) is not None
    ]


def _draw_lines(axes: "Axes", points: Sequence[Point], base: Point | None, label: str, read: Read) -> None:
    width = max((norm for _, norm, _ in _list_marks(points, read)), default=0)
    for setting, (color, line, marker) in STYLES.items():
        marks = _list_marks([point for point in points if point.setting == setting], read)
        axes.errorbar(
            [norm + ASIDE[setting] * width for _, norm, _ in marks],
            [spread.mean for _, _, spread in marks],
            [spread.deviation or 0 for _, _, spread in marks],
            label=SETTINGS[setting],
            capsize=2,
            elinewidth=1,
            color=color,
            linestyle=line,
            marker=marker,
            markersize=5,
        )
    if base is not None and (before := read(base)) is not None:
        axes.axhline(before.mean, color=GREY, linewidth=2.5, zorder=0, label="the base")
    axes.margins(x=0.08, y=0.08)
    axes.set_ylabel(label)


def _mark_factors(axes: "Axes", points: Sequence[Point]) -> None:
    """Writes above the axes how many times farther than needed the examples of each point are."""
    marks = _list_marks(points, lambda point: point.delta_norm)
    above = axes.secondary_xaxis("top")
    above.set_xticks([norm for _, norm, _ in marks], [f"{factor:g}x" for factor, _, _ in marks], fontsize=8)
    above.tick_params(length=2)
    above.spines["top"].set_visible(False)


def _draw_shares(axes: "Axes", points: Sequence[Point]) -> None:
    flipped, clamped = (
        _list_marks(points, lambda point: point.flipped),
        _list_marks(points, lambda point: point.clamped),
    )
    for name, style, marks in (("labels flipped", "-^", flipped), ("pixels clamped", "--v", clamped)):
        shares = [100 * spread.mean for _, _, spread in marks]
        axes.plot([norm for _, norm, _ in marks], shares, style, color=BLACK if style == "-^" else GREY, label=name)
    axes.set_ylabel("share (%)")
    axes.legend(frameon=False, loc="best", fontsize=8.5, handlelength=3)


def _list_rows(points: Sequence[Point], base: Point | None) -> list[Cells]:
    before = [] if base is None else [_list_cells(base) | {"setting": "untouched base", "delta_factor": None}]
    return [*(_list_cells(point) for point in points), *before]


def _list_cells(point: Point) -> Cells:
    return {
        "setting": point.setting,
        "delta_factor": point.factor,
        "runs": None if point.delta_norm is None else point.delta_norm.count,
        **list_spread("delta_norm", point.delta_norm),
        **list_spread("parameter_distance", point.distance),
        **list_spread("ft_auc_gap_points", point.ft_gap),
        **list_spread("clamped_share", point.clamped),
        **list_spread("flipped_share", point.flipped),
    }
