"""Draws parts of the report of a month for the docs, as Chromium shows them.

python -m bench.month.pictures /var/tmp/month/report.html docs
"""

import sys
from pathlib import Path

from tests.browser import open_browser

# name of each picture, what of the page it shows, and how many pixels of its height at most
PARTS = (
    ("month-deadlines.png", "section[aria-labelledby=deadlines]", 1000),
    ("month-figures.png", "section[aria-labelledby=figures]", 530),
    ("month-events.png", "section[aria-labelledby=events] table:last-of-type", 700),
)
MARGIN = 20  # pixels


def draw(report: Path, folder: Path) -> None:
    """Writes the pictures into a folder."""
    with open_browser() as reader:
        page = reader.page
        page.set_viewport_size({"width": 1000, "height": 900})
        reader.open(report.resolve().as_uri())
        for name, selector, height in PARTS:
            box = page.locator(selector).last.bounding_box()
            assert box is not None, f"the report has no {selector}"  # noqa: S101 - there is always one
            page.screenshot(
                path=folder / name,
                full_page=True,
                clip={
                    "x": box["x"] - MARGIN,
                    "y": box["y"],
                    "width": box["width"] + 2 * MARGIN,
                    "height": min(box["height"] + MARGIN, height),
                },
            )


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
