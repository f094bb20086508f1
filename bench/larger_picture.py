"""The picture of cost and memory by the number of images, and of a wave's stages on photographs.

python -m bench.larger_picture     from what is recorded in `bench/results/`, to `docs/larger.svg`
"""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from amun.study.figures.drawing import BLUE, GREY, VERMILLION, clean, open_figure
from bench.wave import ROOT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RESULTS, PICTURE = ROOT / "bench" / "results", ROOT / "docs" / "larger.svg"
MIB_A_GIB = 1024


def main() -> None:
    """Draws what is recorded."""
    import matplotlib as mpl

    recorded = [json.loads((RESULTS / name).read_text(encoding="utf-8")) for name in ("larger.json", "photos.json")]
    with mpl.rc_context({"svg.hashsalt": "larger", "svg.fonttype": "path"}):
        draw_sizes(*recorded).savefig(PICTURE, metadata={"Date": None, "Creator": None})


def draw_sizes(sizes: dict[str, Any], photos: dict[str, Any]) -> "Figure":
    """Returns a picture: time and memory by size on the left, memory of each stage on photographs on the right.

    Args:
        sizes: what `bench.larger` has measured.
        photos: what `bench.photos` has, by how many there were.
    """
    figure = open_figure(11, 3.6)
    left, middle, right = figure.subplots(1, 3)
    _draw_costs(left, sizes["sizes"], lambda images, cost: float(cost["seconds"]) / images * 1e6)
    left.set_title("train, 32 x 32: processor, us an image", fontsize=9)
    _draw_costs(middle, sizes["sizes"], lambda _, cost: float(cost["mebibytes"]))
    middle.set_title("train, 32 x 32: memory, MiB", fontsize=9)
    _draw_stages(right, photos)
    return figure


def _draw_costs(axes: "Axes", sizes: list[dict[str, Any]], weigh: Callable[[int, dict[str, float]], float]) -> None:
    """Draws what was measured at each size, as `weigh` tells it, and what was foreseen where two sizes came before."""
    clean(axes)
    kinds = {"measured": (BLUE, "o", "-"), "foreseen": (VERMILLION, "x", "none")}
    for kind, (color, marker, line) in kinds.items():
        told = [(one["images"], weigh(one["images"], one[kind])) for one in sizes if one[kind] is not None]
        label = kind if kind == "measured" else "foreseen from the two before"
        axes.plot(*zip(*told, strict=True), color=color, marker=marker, linestyle=line, label=label)
    axes.set_xscale("log")
    axes.set_ylim(0, 1.2 * axes.get_ylim()[1])
    axes.set_xlabel("images")
    axes.legend(frameon=False, fontsize=8)


def _draw_stages(axes: "Axes", photos: dict[str, Any]) -> None:
    """Draws the memory that each stage of a wave on photographs took at its peak, for each number of photos."""
    clean(axes)
    colors = [GREY, BLUE, VERMILLION]
    numbers = sorted(map(int, photos))[-len(colors) :]
    width = 0.8 / len(numbers)
    for place, number in enumerate(numbers):
        stages = photos[str(number)]["stages"]
        axes.bar(
            [row + place * width for row in range(len(stages))],
            [stage["peak_mib"] / MIB_A_GIB for stage in stages],
            width,
            color=colors[place],
            label=f"{number:,} photos",
        )
    names = [stage["stage"] for stage in photos[str(numbers[-1])]["stages"]]
    axes.set_xticks([row + 0.4 - width / 2 for row in range(len(names))], names, rotation=45, ha="right", fontsize=8)
    axes.set_title("a wave, 224 x 224: memory of a stage, GiB", fontsize=9)
    axes.legend(frameon=False, fontsize=8)


if __name__ == "__main__":
    main()
