"""Figure 5: the histograms of figure 3, without the remain set."""

from collections.abc import Sequence

from amun.study.figures.drawing import Drawing
from amun.study.figures.figure3 import draw_confidence
from amun.study.records import Record


def draw_figure5(records: Sequence[Record]) -> Drawing | None:
    """Returns the histograms without the remain set."""
    return draw_confidence(records, 5, "none")
