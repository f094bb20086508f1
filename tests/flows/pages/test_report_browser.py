"""The report in a browser: nothing for axe to find, nothing wider than a telephone, and read by keyboard."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe

from flows.pages.report_page import render_report
from tests.browser import Reader, open_browser
from tests.flows.pages.reports import make_facts

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with open_browser() as opened:
        yield opened


@pytest.mark.parametrize(("wave", "width", "scheme"), [(None, 1100, "light"), (2, 360, "dark")])
def test_page_is_for_everybody(
    wave: int | None, width: int, scheme: Literal["light", "dark"], reader: Reader, tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    path.write_text(render_report(make_facts(wave)), encoding="utf-8")
    reader.page.set_viewport_size({"width": width, "height": 800})
    reader.page.emulate_media(color_scheme=scheme)
    reader.open(path.as_uri())
    found = Axe().run(reader.page, options=RULES)
    assert found.response["passes"]
    assert found.violations_count == 0, found.generate_report()
    assert reader.page.evaluate("document.documentElement.scrollWidth") <= width
    # of the two drawings of a picture the one that fits is there
    shown = [one.get_attribute("class") for one in reader.page.locator("figure svg").all() if one.is_visible()]
    assert shown == ["wide" if width > 640 else "narrow"] * 6
    reader.page.keyboard.press("Tab")
    assert reader.page.evaluate("document.activeElement.textContent") == "Skip to the report"
