"""The picture of lines of nights: memory left of everybody so far, and accuracy, wave by wave.

python -m bench.line_picture     from what is recorded in `bench/results/`, to `docs/line.svg`
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from amun.study.figures.drawing import BLACK, BLUE, VERMILLION, clean, count_on_x, open_figure
from bench.seed import RETRAINED
from bench.wave import ROOT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RESULTS, PICTURE = ROOT / "bench" / "results", ROOT / "docs" / "line.svg"
SOURCES = {"digits": "noisy digits", "cifar10": "CIFAR-10"}
LINES = {  # name, colour and marker
    "as_shipped": ("as shipped: the gate decides", BLUE, "o"),
    "first_attempt": ("first attempt kept, whatever the gate says", VERMILLION, "s"),
}


def main() -> None:
    """Draws what is recorded."""
    import matplotlib as mpl

    paths = [path for source in SOURCES if (path := RESULTS / f"{source}_line.json").exists()]
    figure = draw_lines([json.loads(path.read_text(encoding="utf-8")) for path in paths])
    with mpl.rc_context({"svg.hashsalt": "line", "svg.fonttype": "path"}):
        figure.savefig(PICTURE, metadata={"Date": None, "Creator": None})


def draw_lines(recorded: Sequence[dict[str, Any]]) -> "Figure":
    """Returns a picture with a column for each bench that was run: memory left above, accuracy below."""
    figure = open_figure(5 * len(recorded), 5.5)
    axes = figure.subplots(2, len(recorded), squeeze=False, sharex="col")
    for number, content in enumerate(recorded):
        above, below = axes[:, number]
        above.set_title(SOURCES[content["source"]])
        _draw_memory(above, content)
        _draw_accuracy(below, content)
        below.set_xlabel("wave")
        count_on_x(below, len(content["as_shipped"]))
    axes[0, 0].set_ylabel("memory left of everybody so far")
    axes[1, 0].set_ylabel("accuracy on test images")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=8, loc="outside lower center", ncols=4)
    return figure


def _draw_memory(axes: "Axes", content: dict[str, Any]) -> None:
    clean(axes)
    axes.axhline(0, color=BLACK, linewidth=0.6)
    for shift, (key, (label, color, marker)) in zip((-0.06, 0.06), LINES.items(), strict=True):
        nights = content[key]
        left = [night["everybody"]["left"] for night in nights]
        reach = [
            [night["everybody"]["left"] - night["everybody"]["lower"] for night in nights],
            [night["everybody"]["upper"] - night["everybody"]["left"] for night in nights],
        ]
        places = [night["number"] + shift for night in nights]
        axes.errorbar(places, left, reach, color=color, marker=marker, markersize=4, linewidth=1.2, label=label)
        retrained = [night["number"] + shift for night in nights if night["method"] == RETRAINED]
        zero = [point for night, point in zip(nights, left, strict=True) if night["method"] == RETRAINED]
        axes.plot(
            retrained,
            zero,
            color=color,
            marker="o",
            markerfacecolor="white",
            linestyle="none",
            label=f"there {RETRAINED}" if retrained else None,
            zorder=5,
        )
    exact = content["exact"]
    axes.plot(
        [model["number"] + 0.2 for model in exact],
        [model["everybody"]["left"] for model in exact],
        color=BLACK,
        marker="x",
        linestyle="none",
        label=f"{RETRAINED}, other seeds",
    )


def _draw_accuracy(axes: "Axes", content: dict[str, Any]) -> None:
    clean(axes)
    for key, (_, color, marker) in LINES.items():
        nights = content[key]
        places, accuracies = [night["number"] for night in nights], [night["accuracy"] for night in nights]
        axes.plot(places, accuracies, color=color, marker=marker, markersize=4, linewidth=1.2)
    exact = content["exact"]
    places = [model["number"] + 0.2 for model in exact]
    axes.plot(places, [model["accuracy"] for model in exact], color=BLACK, marker="x", linestyle="none")


if __name__ == "__main__":
    main()
