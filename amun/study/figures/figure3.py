"""Figures 3 and 5: how sure the models are of forget, remain and test samples; retrained, before and after AMUN."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from amun.study.figures.drawing import (
    BLACK,
    BLUE,
    VERMILLION,
    Drawing,
    clean,
    list_spread,
    open_figure,
)
from amun.study.records import AMUN, BASE, NUM_BINS, RETRAIN, SETTINGS, Record, Setting
from amun.study.runs import choose_records, list_shares
from amun.study.statistics import Spread, summarise_places

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MODELS = {RETRAIN: "retrained", BASE: "before", AMUN: "after AMUN"}
# set, colour, line, hatch of its area
SETS = {
    "remain": (BLUE, "--", ""),
    "test": (BLACK, ":", ""),
    "forget": (VERMILLION, "-", "////"),
}
LEAST_PERCENT = 1  # below it the axis of shares is linear
CAPTION = (
    "Share of the samples by the model's confidence in their label, in {num_bins} bins, means over the runs, with the "
    "standard deviation of what is forgotten; the axis is logarithmic above {least:g} %. What has been forgotten "
    "(hatched) lies on the test set, as after retraining, and no longer on the remain set, as before. Figure 3 is with "
    "the remain set, figure 5 without it: of the paper's own two only their kind was known when this was made."
)
Histograms = dict[str, dict[str, list[Spread]]]  # by model and set, in percent of its samples, for each bin


def draw_figure3(records: Sequence[Record]) -> Drawing | None:
    """Returns the histograms with the remain set."""
    return draw_confidence(records, 3, "use")


def draw_confidence(records: Sequence[Record], number: int, setting: Setting) -> Drawing | None:
    """Returns the histograms in one setting, a row for each share; None unless all three models were looked at."""
    found = {share: _average(choose_records(records, setting, share)) for share in list_shares(records)}
    shown = {share: histograms for share, histograms in found.items() if len(histograms) == len(MODELS)}
    if not shown:
        return None
    figure = open_figure(9.6, 0.7 + 2.8 * len(shown))
    rows_of_axes = figure.subplots(len(shown), len(MODELS), sharex=True, sharey=True, squeeze=False)
    for row, (share, histograms) in zip(rows_of_axes, shown.items(), strict=True):
        for axes, (model, name) in zip(row, MODELS.items(), strict=True):
            _draw_panel(axes, histograms[model])
            axes.set_title(f"{name}, {100 * share:g} % forgotten" if len(shown) > 1 else name)
        row[0].set_ylabel("share of samples (%)")
    for axes in rows_of_axes[-1]:
        axes.set_xlabel("confidence in the label")
    rows_of_axes[0][0].legend(loc="upper left", frameon=False, handlelength=3)
    caption = CAPTION.format(num_bins=NUM_BINS, least=LEAST_PERCENT)
    title = f"Figure {number}: confidence, {SETTINGS[setting]}"
    return Drawing(f"figure{number}", title, caption, figure, _list_rows(shown))


def _average(records: Sequence[Record]) -> Histograms:
    """Returns what the runs show of each model that they hold."""
    averaged: Histograms = {}
    for model in MODELS:
        runs = [record.confidence for record in records if record.trial.method == model and record.confidence]
        if runs:
            averaged[model] = {
                name: summarise_places([[100 * share for share in run[name]] for run in runs]) for name in SETS
            }
    return averaged


def _draw_panel(axes: "Axes", histograms: dict[str, list[Spread]]) -> None:
    edges = np.linspace(0, 1, NUM_BINS + 1)
    for name, (color, line, hatch) in SETS.items():
        shares = [spread.mean for spread in histograms[name]]
        if hatch:
            deviations = [spread.deviation or 0 for spread in histograms[name]]
            axes.errorbar((edges[:-1] + edges[1:]) / 2, shares, deviations, fmt="none", color=color, elinewidth=1)
            area = axes.stairs(shares, edges, fill=True, hatch=hatch, linewidth=0, alpha=0.6)
            area.set(facecolor="none", edgecolor=color)
        axes.stairs(shares, edges, label=name, color=color, linestyle=line, linewidth=1.8)
    axes.set_yscale("symlog", linthresh=LEAST_PERCENT)
    axes.set(xlim=(0, 1), ylim=(0, 150), yticks=[0, 1, 10, 100], yticklabels=["0", "1", "10", "100"])
    clean(axes)


def _list_rows(shown: dict[float, Histograms]) -> list[dict[str, str | int | float | None]]:
    return [
        {
            "share_forgotten": share,
            "model": MODELS[model],
            "confidence_from": number / NUM_BINS,
            "confidence_to": (number + 1) / NUM_BINS,
            **_list_bin(histograms[model], number),
        }
        for share, histograms in shown.items()
        for model in MODELS
        for number in range(NUM_BINS)
    ]


def _list_bin(histograms: dict[str, list[Spread]], number: int) -> dict[str, float | None]:
    spreads = [list_spread(f"{name}_percent", histograms[name][number]) for name in SETS]
    return {column: value for spread in spreads for column, value in spread.items()}
