"""A wave before and after: histograms of confidence, as in the paper's Figures 3 and 5, and the ROC curve."""

from collections.abc import Sequence

from markupsafe import Markup

from flows.pages.drawings.svg import WIDE, Axis, Drawing, draw_both, log_axis, root_axis
from tasks.views.report_curves import FORGOTTEN, MIN_CELL, UNSEEN, Curves, Histogram, Roc

SHARES = (0, 0.01, 0.05, 0.2, 0.5, 1)
RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
WORDS = {FORGOTTEN: "forgotten", UNSEEN: "never trained on"}


def draw_histograms(curves: Curves) -> Markup:
    """Returns how sure the model is of the right label, before and after; nothing where there were too few samples."""
    if not curves.histograms:
        return Markup()
    return draw_both(lambda width: _draw_histograms(curves, width))


def _draw_histograms(curves: Curves, width: int) -> Drawing:
    moments = [moment for moment in ("before", "after") if any(one.moment == moment for one in curves.histograms)]
    title = f"How sure the model was of the right label, before and after wave {curves.number}"
    description = (
        "Share of samples by the confidence that the model gives their right label, for the forgotten and for people "
        f"never trained on. Vertical steps are square roots. {_describe_top(curves.histograms)} Parts of fewer than "
        f"{MIN_CELL} samples are left out, and others by which these could be computed: the lines are broken there. "
        "The table has the shares."
    )
    drawing = Drawing("confidence", width, 0, title, description)
    top = drawing.legend(16, [("line", "done", WORDS[FORGOTTEN]), ("line", "unseen", WORDS[UNSEEN])])
    panel = (width - 14 - 44 * len(moments)) / len(moments) if width == WIDE else width - 58
    for number, moment in enumerate(moments):
        left = 44 + (number * (panel + 44) if width == WIDE else 0)
        head = top + 22 + (0 if width == WIDE else 236 * number)
        _add_panel(drawing, [one for one in curves.histograms if one.moment == moment], left, left + panel, head)
        drawing.text(left, head - 8, moment, "strong")
    drawing.height = top + 22 + 236 + (0 if width == WIDE else 236 * (len(moments) - 1))
    return drawing


def _add_panel(drawing: Drawing, histograms: Sequence[Histogram], left: float, right: float, top: float) -> None:
    foot = top + 170
    across, up = Axis(0, 1, left, right), root_axis(0, 1, foot, top)
    drawing.ticks_left(up, left, right, [(share, f"{share:.0%}") for share in SHARES])
    for one in histograms:
        class_ = "done" if one.group == FORGOTTEN else "unseen"
        for steps in list_runs(one.shares, across, up):
            if one.group == FORGOTTEN:
                drawing.path([(steps[0][0], foot), *steps, (steps[-1][0], foot)], "area")
            drawing.path(steps, f"step {class_}")
    drawing.line(left, foot, right, foot, "axis")
    drawing.ticks_below(across, foot, [(share, f"{share:.0%}") for share in (0, 0.25, 0.5, 0.75, 1)])
    drawing.text((left + right) / 2, foot + 36, "confidence in the right label", "small", "middle")


def list_runs(shares: Sequence[float | None], across: Axis, up: Axis) -> list[list[tuple[float, float]]]:
    """Returns the steps of a histogram, broken where a part is left out."""
    width, runs = 1 / len(shares), [list[tuple[float, float]]()]
    for number, share in enumerate(shares):
        if share is None:
            runs.append([])
        else:
            runs[-1] += [(across.place((number + side) * width), up.place(share)) for side in (0, 1)]
    return [run for run in runs if run]


def _describe_top(histograms: Sequence[Histogram]) -> str:
    told = [
        f"{one.moment} {one.shares[-1]:.0%} of those {WORDS[one.group]}"
        for one in histograms
        if one.shares[-1] is not None
    ]
    return f"In the surest part lie {', '.join(told)}." if told else ""


def draw_roc(curves: Curves) -> Markup:
    """Returns the membership attack's curve on logarithmic axes; nothing where there is none."""
    roc = curves.roc
    if roc is None or not any(rate > 0 for rate in roc.rates):
        return Markup()
    return draw_both(lambda width: _draw_roc(roc, curves.number, width))


def _draw_roc(roc: Roc, number: int, width: int) -> Drawing:
    drawing = Drawing("roc", width, 0, f"What a membership attack finds before and after wave {number}", "")
    marks = {"before": ("square", "before"), "after": ("disc", "done")}
    legend = [(*marks[moment], moment) for moment in roc.found] + [("line", "margin", "blind guessing")]
    top, side = drawing.legend(16, legend), min(width - 66, 360)
    lowest = _find_lowest(roc)
    least = min([lowest, *(value for found in roc.found.values() for value in found if value)])
    left, foot = 52, top + side
    across, up = log_axis(lowest, 1, left, left + side), log_axis(least, 1, foot, top)
    drawing.ticks_left(up, left, left + side, [(rate, f"{100 * rate:g} %") for rate in RATES if rate >= least])
    drawing.path([(across.place(rate), up.place(rate)) for rate in (lowest, 1)], "margin")
    for moment, found in roc.found.items():
        shape, class_ = marks[moment]
        points = [
            (across.place(rate), up.place(value))
            for rate, value in zip(roc.rates, found, strict=True)
            if rate >= lowest and value
        ]
        if points:
            drawing.path(points, f"curve {class_}")
        for x, y in points:
            drawing.mark(shape, x, y, 3, class_)
    drawing.line(left, foot, left + side, foot, "axis")
    drawing.ticks_below(across, foot, [(rate, f"{100 * rate:g} %") for rate in RATES if rate >= lowest])
    drawing.text(left + side / 2, foot + 36, "taken for members among the unseen", "small", "middle")
    drawing.text(left + 8, top + 14, "found among the forgotten", "small")
    drawing.height = foot + 44
    drawing.description = (
        "Share of the forgotten that the attack finds, against the share of the unseen that it takes for members, "
        f"both on logarithmic axes from {lowest:.1%}. {_describe_first(roc, lowest)} Blind guessing finds as many as "
        "it mistakes. The table has the points."
    )
    return drawing


def _find_lowest(roc: Roc) -> float:
    """Returns the lowest rate at which anything is told; where nothing is, the lowest of all."""
    rising = [place for place, rate in enumerate(roc.rates) if rate > 0]
    told = [place for place in rising if any(found[place] is not None for found in roc.found.values())]
    return roc.rates[(told or rising)[0]]


def _describe_first(roc: Roc, lowest: float) -> str:
    place = roc.rates.index(lowest)
    told = [f"{moment} {found[place]:.1%}" for moment, found in roc.found.items() if found[place] is not None]
    return f"At {lowest:.1%} it finds {', '.join(told)}." if told else ""
