"""The report: deadlines kept and missed, figures beside their bounds, what failed, and nobody's name."""

import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest

from amun.evidence.attempts import Judged
from amun.evidence.earlier import EarlierFigures
from amun.evidence.figures import ReportFigures
from flows.pages.drawings.descent import assign_lanes
from flows.pages.drawings.series import list_accuracy, list_memory
from flows.pages.drawings.svg import Axis, list_ticks, log_axis, root_axis
from flows.pages.report_events import tabulate_events
from flows.pages.report_page import render_report, tell_answer
from flows.pages.report_tables import MAX_SHOWN
from tasks.views.report_facts import Bounds
from tasks.views.reported_requests import report_requests
from tests.flows.pages.reports import (
    DAY,
    MODEL,
    NOW,
    PERSON,
    list_requests,
    make_facts,
    make_request,
    make_version,
    make_wave,
    make_year,
)


class Reader(HTMLParser):
    """What a page refers to, and which tables and headings it has."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def read_text(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.partition("<body>")[2]).split())


def test_requests_stand_with_their_due_dates() -> None:
    assert [one.standing for one in list_requests()] == [
        *("kept", "kept", "late", "overdue", "running", "overdue", "held", "withdrawn", "kept")
    ]
    told = tell_answer(tuple(list_requests()))
    assert told == (
        "Of 9 requests, 3 were honoured in time, 1 was honoured late, 2 are past the due date and not done, "
        "1 is under way and in time, 1 is kept back by a legal hold, 1 was withdrawn."
    )
    assert tell_answer(tuple(list_requests()[:2])).endswith("No deadline was missed.")
    assert tell_answer(tuple(list_requests()[4:5])) == (
        "Of 1 request, 1 is under way and in time. No deadline was missed."
    )
    assert tell_answer(()) == "Nobody has asked to be forgotten."


def test_page_of_all_time_tells_each_request_and_what_failed() -> None:
    text = read_text(render_report(make_facts()))
    for words in (
        "R-000001 2026-05-01 2026-05-02, wave 1 2026-05-09 2026-05-31 kept, 22 days to spare",
        "R-000003 2026-05-01 2026-05-02, wave 1 2026-06-01 2026-05-31 late by 1 day",
        "R-000004 2026-05-01 2026-05-02, wave 1 after 2026-05-09 2026-05-31 overdue by 30 days",
        "R-000005 2026-06-25 waits for a night — 2026-07-25 under way, 25 days left",
        "R-000007 2026-05-01 on legal hold — 2026-05-31 on legal hold",
        "attempt 1 (amun): the gate has refused it, memory left 0.80, not within 0.5 of 0 retrained exactly, attempt 2",
        "wave 3 2026-05-21 parked: it could not be finished its requests wait for the next night",
        "the model went back from version 5 to version 2; wave 4 undone",
        "wave-parked 1 2026-05-21",
        "90.0% [87.1, 92.9] — 88.0% 10.0% [-20.0, 40.0] — ± 50%",
        "fewer than 5",
        "Version that serves 6, of wave 5",
    ):
        assert words in text, words


@pytest.mark.parametrize("wave", [None, 1, 2, 3])
def test_nobody_is_named_and_nothing_outside_is_needed(wave: int | None) -> None:
    page = render_report(make_facts(wave))
    assert not [word for word in (PERSON, "secret", "ann &lt;", "ticket", "suit") if word in page]
    tags = Reader(page).tags
    assert {tag for tag, _ in tags} & {"script", "link", "img", "iframe", "object"} == set()
    assert {value for _, attributes in tags for name, value in attributes.items() if name in ("src", "href")} <= {
        *("#main", "#deadlines", "#result", "#figures", "#attack", "#versions", "#events", "#limits")
    }
    assert not re.search(r"url\(|@import|https?:", page)


@pytest.mark.parametrize("wave", [None, 1])
def test_every_picture_has_words_and_a_table(wave: int | None) -> None:
    page = render_report(make_facts(wave))
    pictures = [ElementTree.fromstring(found) for found in re.findall(r"<svg.*?</svg>", page)]  # noqa: S314 - our own
    assert len(pictures) == 2 * 6
    for picture in pictures:
        title, description, *_ = picture
        assert picture.get("role") == "img"
        assert (picture.get("aria-labelledby"), picture.get("aria-describedby")) == (
            title.get("id"),
            description.get("id"),
        )
        assert title.text
        assert (description.text or "").count(".") >= 2
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert page.count("<caption>") >= 6
    levels = [int(tag[1]) for tag, _ in Reader(page).tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert max(later - earlier for earlier, later in pairwise(levels)) == 1


def test_page_of_a_wave_tells_that_wave_alone() -> None:
    text = read_text(render_report(make_facts(2)))
    assert "faces, wave 2 Written" in text
    assert "People 12, with 60 training samples" in text
    assert "How each attempt was judged" in text
    assert "wave 3 2026-05-21" not in text
    assert "the model went back" not in text


def test_year_stays_readable() -> None:
    page = render_report(make_year())
    assert len(page) < 1_500_000
    assert f"{366 - MAX_SHOWN} more rows" in page
    assert page.count("kept, ") == 0  # months, not two thousand rows
    text = read_text(page)
    assert "Of 2000 requests, 2000 were honoured in time. No deadline was missed." in text
    assert re.search(r"2026-05 1\d\d 1\d\d 0 0 8 8", text)


def test_of_many_requests_those_alike_share_a_row() -> None:
    waiting = [make_request(number, NOW - 5 * DAY, "pending", answered_after=None) for number in range(70)]
    late = [make_request(number, NOW - 50 * DAY, "pending", answered_after=None) for number in (80, 90)]
    text = read_text(render_report(make_facts(requests=tuple(report_requests([*waiting, *late], MODEL, NOW)))))
    assert "R-000080 +1 2026-05-11 waits for a night — 2026-06-10 overdue by 20 days R-000000 +69 2026-06-25" in text


def test_empty_workspace_has_a_page() -> None:
    base = make_wave(0, NOW - DAY)
    facts = make_facts(
        waves=(base,), versions=(make_version(base),), requests=(), rollbacks=(), alerts=(), curves=None, bounds={}
    )
    text = read_text(render_report(facts))
    assert "Nobody has asked to be forgotten." in text
    assert "Nothing is on record" in text


def test_accuracy_is_bound_by_the_last_exact_version() -> None:
    waves = [make_wave(0, NOW, test={"accuracy": 0.95}), make_wave(1, NOW), make_wave(2, NOW, state="parked")]
    base, unlearned = list_accuracy(waves, {1: Bounds(0.02, 0.5)})
    assert (base.is_exact, base.lowest) == (True, None)
    assert unlearned.lowest == pytest.approx(0.93)
    assert unlearned.upper == pytest.approx(0.9 + 1.96 * (0.9 * 0.1 / 400) ** 0.5)
    (left,) = list_memory(waves, {1: Bounds(0.02, 0.5)})
    assert (left.lower, left.value, left.upper, left.lowest, left.highest) == (-0.2, 0.1, 0.4, -0.5, 0.5)
    (unmeasured,) = list_memory([make_wave(1, NOW, test=dict.fromkeys(("memory_left_lower",), None))], {})
    assert (unmeasured.value, unmeasured.lowest) == (None, None)
    assert ReportFigures().bounds is None


def test_line_of_who_serves_is_the_first() -> None:
    parents = {1: None, 2: "1", 3: "2", 4: "3", 5: "2", 6: "5"}
    versions = [
        make_version(make_wave(number - 1, NOW), parent=parent, aliases=("champion",) if number == 6 else ())
        for number, parent in parents.items()
    ]
    assert assign_lanes(versions) == {1: 0, 2: 0, 5: 0, 6: 0, 4: 1, 3: 1}
    assert assign_lanes(versions[:4]) == {1: 0, 2: 0, 3: 0, 4: 0}


def test_axes_place_values_and_keep_to_their_ends() -> None:
    axis = Axis(0, 10, 100, 200)
    assert [axis.place(value) for value in (0, 5, 10, -3, 99)] == [100, 150, 200, 100, 200]
    assert log_axis(0.01, 1, 0, 100).place(0.1) == pytest.approx(50)
    assert root_axis(0, 1, 0, 100).place(0.25) == pytest.approx(50)
    assert list_ticks(0, 30, 5) == [0, 10, 20, 30]
    assert list_ticks(-0.6, 1.05, 5) == [-0.5, 0, 0.5, 1]


@pytest.mark.parametrize(
    ("changes", "who"),
    [
        ({}, "the gate has refused it, said"),
        ({"overruled": True}, "the report has overruled the gate, said"),
        (
            {"overruled": True, "earlier": EarlierFigures(num_people=40, num_held=200, brings_back=True)},
            "the look at earlier waves has overruled the gate, said",
        ),
    ],
)
def test_a_refusal_says_by_whom(changes: dict[str, Any], who: str) -> None:
    refused = Judged(attempt=1, method="never_seen", passed=False, reason="said").model_copy(update=changes)
    exact = Judged(attempt=2, method="retrain", passed=True, reason="exact by construction")
    ((_, _, what, _),) = tabulate_events([make_wave(1, NOW, decisions=(refused, exact))], []).rows
    assert what == f"attempt 1 (never_seen): {who}"
