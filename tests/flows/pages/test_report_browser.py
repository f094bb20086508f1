"""The report in a browser: nothing for axe to find, nothing wider than a telephone, and read by keyboard."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from amun.ledger import Ledger
from flows.pages.report_page import render_report
from flows.pages.request_list import render_list
from tests.amun.ledger.helpers import MODEL, add, build_base
from tests.browser import Reader, open_browser
from tests.flows.pages.reports import make_facts

A4_PIXELS = 673  # what the margins leave of 210 mm, at 96 to the inch
# of each mark: its picture and kind, and what it looks like
LOOK_OF_MARKS = """() => [...document.querySelectorAll('svg.wide *')]
    .filter(one => ['circle', 'rect', 'line', 'path'].includes(one.tagName))
    .filter(one => !/^(grid|cell day|cell past|interval( dense)?|area|span|worked|today|)$/
        .test(one.getAttribute('class') || ''))
    .map(one => { const look = getComputedStyle(one); return [
        one.closest('svg').querySelector('title').id + ' ' + one.getAttribute('class'),
        {shape: one.tagName, dashes: look.strokeDasharray, fill: look.fill, stroke: look.stroke}] })"""
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with open_browser() as opened:
        yield opened


def open_report(reader: Reader, tmp_path: Path) -> Page:
    """Opens the report of all time on a wide screen."""
    path = tmp_path / "report.html"
    path.write_text(render_report(make_facts()), encoding="utf-8")
    reader.page.set_viewport_size({"width": 1100, "height": 800})
    reader.page.emulate_media(media="screen", color_scheme="light")
    reader.open(path.as_uri())
    return reader.page


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
    assert shown == ["wide" if width > 640 else "narrow"] * 7
    reader.page.keyboard.press("Tab")
    assert reader.page.evaluate("document.activeElement.textContent") == "Skip to the report"


def test_list_of_requests_is_for_everybody(reader: Reader, tmp_path: Path) -> None:
    people, path = [f"guest-{number}" for number in range(31)], tmp_path / "requests.html"
    with Ledger.create(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        build_base(ledger, people)
        add(ledger, *people)
        path.write_text(render_list(ledger, MODEL, 1) or "", encoding="utf-8")
    reader.page.set_viewport_size({"width": 360, "height": 800})
    reader.page.emulate_media(media="screen", color_scheme="dark")
    reader.open(path.as_uri())
    found = Axe().run(reader.page, options=RULES)
    assert found.violations_count == 0, found.generate_report()
    assert reader.page.evaluate("document.documentElement.scrollWidth") <= 360


def test_all_of_it_is_reached_by_keyboard(reader: Reader, tmp_path: Path) -> None:
    page = open_report(reader, tmp_path)
    # what there is to stop at, in the order of the page; of a folded part its line alone
    wanted = page.evaluate(
        """() => [...document.querySelectorAll('a, summary, [tabindex="0"]')]
            .filter(one => !one.closest('details:not([open])') || one.tagName === 'SUMMARY')
            .map(one => one.outerHTML)"""
    )
    assert len(wanted) >= 15
    for html in wanted:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.outerHTML") == html
        # whoever cannot see a pointer sees where they are
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("details").first.get_attribute("open") is not None
    page.locator("a.skip").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_print_has_all_but_what_is_folded_on_paper_of_its_width(reader: Reader, tmp_path: Path) -> None:
    page = open_report(reader, tmp_path)
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size({"width": A4_PIXELS, "height": 1000})
    assert page.evaluate("document.documentElement.scrollWidth") <= A4_PIXELS
    # paper is white, whatever the screen was
    body = page.evaluate("(({backgroundColor, color}) => [backgroundColor, color])(getComputedStyle(document.body))")
    assert body == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
    assert not any(one.is_visible() for one in page.locator("nav, .skip, details").all())
    assert [one.is_visible() for one in page.locator(".printed").all()] == [True] * page.locator("details").count()
    assert [one.is_visible() for one in page.locator("svg.wide").all()] == [True] * 7
    # nothing of a table is cut off at the edge of the paper
    assert page.evaluate(
        """() => [...document.querySelectorAll('.scroll')].filter(one => one.checkVisibility())
            .every(one => one.scrollWidth <= one.clientWidth)"""
    )
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF-")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_marks_are_told_apart_without_colours(scheme: Literal["light", "dark"], reader: Reader, tmp_path: Path) -> None:
    page = open_report(reader, tmp_path)
    page.emulate_media(color_scheme=scheme)
    greys = {
        (name, found["shape"], found["dashes"]): (found["fill"], found["stroke"])
        for name, found in page.evaluate(LOOK_OF_MARKS)
    }
    assert len(greys) > 12
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    for (picture, shape, dashes), colours in greys.items():
        # WCAG 1.4.11: a mark is three times as light or dark as what it stands on
        contrasts = [measure_contrast(colour, paper) for colour in colours if colour.startswith("rgb(")]
        assert max(contrasts) >= 3, (picture, shape, dashes, colours)


def measure_contrast(colour: str, paper: str) -> float:
    """Returns by how much one of two colours is lighter, as WCAG 2 has it: of greys as of colours."""
    lighter, darker = sorted((measure_luminance(one) for one in (colour, paper)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def measure_luminance(colour: str) -> float:
    """Returns how light a colour is that CSS writes as `rgb(...)`: 0 is black, 1 is white."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
