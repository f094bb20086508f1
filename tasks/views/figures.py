"""The wave's plots as pictures, for MLflow's page: confidence before and after (the paper's Figures 3 and 5), ROC."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from amun.core.paths import CONFIDENCE, ROC

# told apart by colour (Okabe and Ito), by grey value and by line
_STYLES = {
    "forget": {"color": "#D55E00", "linestyle": "-"},
    "remain": {"color": "#0072B2", "linestyle": "--"},
    "test": {"color": "#000000", "linestyle": ":"},
}


# a page shows the first at once; the second stays sharp at every size
_FORMATS = ("png", "svg")


def draw_figures(root: Path, folder: Path) -> list[Path]:
    """Writes `confidence` and, where there were enough forget samples, `roc` into `folder`; returns the files.

    Each is written as PNG and as SVG, which a browser shows without a network, as `dvc plots show` cannot.
    """
    drawn = _save(_draw_confidence(pd.read_csv(root / CONFIDENCE)), folder / "confidence")
    curve = pd.read_csv(root / ROC)
    if len(curve):
        drawn += _save(_draw_roc(curve), folder / "roc")
    return drawn


def _save(figure: Figure, path: Path) -> list[Path]:
    paths = [path.with_suffix(f".{suffix}") for suffix in _FORMATS]
    for drawn in paths:
        figure.savefig(drawn, dpi=120)
    return paths


def _draw_confidence(table: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for axes, moment in zip(figure.subplots(1, 2, sharey=True), ("before", "after"), strict=True):
        for name, style in _STYLES.items():
            shares = table[f"{name}_{moment}"]
            if shares.notna().all():
                axes.stairs(shares, [*table["confidence"], 1.0], label=name, linewidth=1.8, **style)
        axes.set(title=moment, xlabel="confidence in the label", xlim=(0, 1))
        axes.set_yscale("symlog", linthresh=0.01)
        axes.legend(loc="upper left", frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("share of samples")
    return figure


def _draw_roc(curve: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(4.4, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, label="chance")
    axes.plot(curve["false_positive_rate"], curve["before"], color="#D55E00", label="before")
    axes.plot(curve["false_positive_rate"], curve["after"], color="#0072B2", linestyle="--", label="after")
    axes.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_title("membership attack: forget against test")
    axes.legend(loc="lower right", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
