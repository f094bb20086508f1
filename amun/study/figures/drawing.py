"""What all figures share: colours that the colour-blind tell apart, with lines and markers for greyscale; files."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from amun.study.statistics import Spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito 2008, without the yellow that white paper swallows
BLACK, ORANGE, SKY, GREEN, BLUE, VERMILLION, PURPLE = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)
GREY = "#8A8A8A"
PIXELS_PER_INCH = 150


@dataclass(frozen=True)
class Drawing:
    """A figure and what belongs to it.

    Attributes:
        name: of its files.
        title: for people.
        caption: what is to be seen, and how to read it.
        figure: the picture.
        rows: the numbers in it, under the same names in each row.
    """

    name: str
    title: str
    caption: str
    figure: "Figure"
    rows: Sequence[Mapping[str, str | int | float | None]]


def open_figure(width: float, height: float) -> "Figure":
    """Returns an empty figure of this size in inches; it needs no display."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def clean(axes: "Axes") -> None:
    """Takes away the frame's upper and right line; leaves a faint grid of the values."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)


def count_on_x(axes: "Axes", last: int) -> None:
    """Marks whole numbers from 1 to the last on the x axis alone."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xticks([tick for tick in MaxNLocator(integer=True).tick_values(1, last) if 1 <= tick <= last])


def draw_deviations(axes: "Axes", ends: Sequence[tuple[Spread, str]], last: int) -> None:
    """Draws mean ± standard deviation of each line's last point beside it, side by side; nothing of a single run.

    Args:
        axes: with the lines.
        ends: spread at the last point, and colour, of each.
        last: the lines' last place on the x axis.
    """
    width = 0.12 * last
    for number, (spread, color) in enumerate(ends, 1):
        if spread.deviation is not None:
            place = last + width * (0.2 + number / len(ends))
            axes.errorbar(place, spread.mean, spread.deviation, color=color, marker="_", elinewidth=1.2, capsize=1.5)


def render(drawing: Drawing) -> dict[str, bytes]:
    """Returns the content of the figure's files by their names; the same bytes each time."""
    # laid out once for all files: that is what takes the time
    drawing.figure.draw_without_rendering()
    drawing.figure.set_layout_engine("none")
    files = {f"{drawing.name}.csv": _write_rows(drawing.rows).encode()}
    for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
        files[f"{drawing.name}.{kind}"] = _save(drawing, kind, metadata)
    return files


def _save(drawing: Drawing, kind: str, metadata: Mapping[str, None]) -> bytes:
    import matplotlib as mpl

    content = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": drawing.name, "svg.fonttype": "path"}):
        drawing.figure.savefig(content, format=kind, dpi=PIXELS_PER_INCH, metadata=dict(metadata))
    return content.getvalue()


def _write_rows(rows: Sequence[Mapping[str, str | int | float | None]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: round(value, 6) if isinstance(value, float) else value for name, value in row.items()} for row in rows
    )
    return text.getvalue()


def list_spread(name: str, spread: Spread | None) -> dict[str, float | None]:
    """Returns a spread as two columns of the numbers."""
    return {
        f"{name}_mean": None if spread is None else spread.mean,
        f"{name}_sd": None if spread is None else spread.deviation,
    }
