"""The report: deadlines kept and missed, figures beside their bounds, what failed, and nobody's name."""

import re
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from amun.core.errors import InputError
from amun.core.paths import REPORT, REPORT_LOCK
from amun.evidence.attempts import Judged
from amun.evidence.earlier import EarlierFigures
from amun.evidence.figures import ReportFigures
from amun.ledger import Extension, Request
from flows.pages.deadline_tables import tabulate_deadlines, tabulate_due
from flows.pages.drawings.calendar import draw_calendar
from flows.pages.drawings.curves import list_runs
from flows.pages.drawings.descent import assign_lanes
from flows.pages.drawings.series import list_accuracy, list_memory
from flows.pages.drawings.svg import Axis, list_ticks, log_axis, root_axis
from flows.pages.report_answer import tell_answer, tell_standings
from flows.pages.report_events import tabulate_events
from flows.pages.report_page import render_report, write_page
from flows.pages.report_tables import MAX_SHOWN
from tasks.views.reported_requests import report_requests
from tasks.views.wave_rules import Bounds
from tests.flows.pages.reports import (
    BOUNDS,
    DAY,
    MODEL,
    NOW,
    PERSON,
    RULES,
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
    told = tell_standings(list_requests(), NOW)
    assert told == (
        "Of 9 requests, 3 were honoured in time, 1 was honoured late, 2 are past the due date and not done, "
        "1 is under way and in time, 1 is on hold (1 past the due date), 1 was withdrawn."
    )
    assert tell_standings(list_requests()[:2], NOW).endswith("No deadline was missed.")
    assert tell_standings(list_requests()[4:5], NOW) == (
        "Of 1 request, 1 is under way and in time. No deadline was missed."
    )
    (held,) = list_requests()[6:7]
    assert not tell_standings([held], NOW).endswith("No deadline was missed.")
    assert tell_standings([held], held.due_at).endswith("No deadline was missed.")


def test_page_of_all_time_tells_each_request_and_what_failed() -> None:
    text = read_text(render_report(make_facts()))
    for words in (
        "R-000001 2026-05-01 2026-05-02, wave 1 2026-05-09 2026-05-31 kept, 22 days to spare",
        "R-000003 2026-05-01 2026-05-02, wave 1 2026-06-01 2026-05-31 late by 1 day",
        "R-000004 2026-05-01 2026-05-02, wave 1 after 2026-05-09 2026-05-31 overdue by 30 days",
        "R-000005 2026-06-25 waits for a night — 2026-07-25 under way, 25 days left",
        "R-000007 2026-05-01 on hold — 2026-05-31 on hold, 30 days overdue",
        "attempt 1 (amun): the gate has refused it, memory left 0.80, not within 0.5 of 0 retrained exactly, attempt 2",
        "wave 3 2026-05-21 parked: it could not be finished its requests wait for the next night",
        "the model went back from version 5 to version 2; wave 4 undone",
        "wave-parked 1 2026-05-21",
        "90.0% [87.1, 92.9] — 88.0% 10.0% [-20.0, 40.0] — ± 50%",
        "90% to 95% left out left out",
        "wave 4 undone",
        "Waves 3 complete, and 1 undone since",
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
    assert len(pictures) == 2 * 7
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


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "This wave was to make a new base"),
        (3, "This wave was given up and put nothing into service."),
        (4, "Rollback 1 has undone this wave."),
        (None, "Nobody has asked to be forgotten."),
    ],
)
def test_page_without_requests_says_why(number: int | None, words: str) -> None:
    assert tell_answer(make_facts(number, requests=())).startswith(words)


def test_figures_of_a_few_people_are_not_told() -> None:
    """Many samples may be one person's."""
    refused = Judged(attempt=1, method="amun", passed=False, reason="trace 0.812", warning="and 0.813")
    exact = Judged(attempt=2, method="retrain", passed=True, reason="exact by construction; 1 person")
    wave = make_wave(5, NOW, decisions=(refused, exact), test={"ft_auc": 0.777, "trace": 0.814, "accuracy": 0.87})
    for bounds in ({5: replace(BOUNDS, num_people=11)}, {5: BOUNDS}):
        text = read_text(render_report(replace(make_facts(waves=(wave,), bounds=bounds), wave=wave)))
        is_few = bounds[5].num_people == 11
        assert ("Before and after, wave 5" in text) is not is_few
        assert [figure in text for figure in ("77.7 %", "81.4 %", "0.812", "0.813")] == [not is_few] * 4
        assert "87.0 %" in text
        assert "exact by construction; 1 person" in text


def test_figures_of_canaries_are_told_and_whose_they_are() -> None:
    wave = make_wave(5, NOW, test={"ft_auc": 0.777})
    assert wave.summary is not None
    beside = wave.summary.model_copy(update={"num_subjects": 2, "num_canaries": 40})
    few = replace(BOUNDS, num_people=2)
    told, untold = (
        read_text(render_report(replace(make_facts(waves=(one,), bounds={5: few}), wave=one)))
        for one in (
            replace(wave, summary=beside),
            replace(wave, summary=beside.model_copy(update={"num_canaries": 0})),
        )
    )
    assert "77.7 %" in told
    assert "2 and 40 canaries, with 60 training samples" in told
    assert "of canaries alone: they show the run, and nothing of those who asked" in told
    assert "77.7 %" not in untold
    assert "canaries" not in untold


def test_pooled_reasons_of_version_0_1_are_not_told() -> None:
    rules = replace(RULES, pool_samples=61)
    text = read_text(render_report(make_facts(1, bounds={1: Bounds(rules, 0.88, 12)})))
    assert "memory left is shown to be small" not in text
    assert "judged together with people who were forgotten earlier" in text


def test_what_is_filled_in_is_text() -> None:
    made = Judged(attempt=1, method="<b>m</b>", passed=False, reason="<b>r</b>", warning="<b>w</b>")
    passed = Judged(attempt=2, method="amun", passed=True, reason="<b>p</b>")
    wave = make_wave(1, NOW, decisions=(made, passed), parent_version="<b>v</b>", insufficient="<b>i</b>")
    versions = (make_version(make_wave(0, NOW)), make_version(wave, parent="<b>o</b>", method="<b>n</b>"))
    page = render_report(replace(make_facts(waves=(wave,), versions=versions, curves=None), wave=wave))
    assert "<b>" not in page
    assert {letter for letter in "mrwpvion" if f"&lt;b&gt;{letter}&lt;/b&gt;" in page} == set("mrwpvion")


def test_adopted_base_is_no_new_one_and_its_file_is_not_named() -> None:
    base = make_wave(0, NOW)
    for parent, words in (
        ("ann-smith.safetensors", "adopted base"),
        ("models:/faces-old/3", "adopted base from models:/faces-old/3"),
    ):
        text = read_text(render_report(make_facts(0, requests=(), versions=(make_version(base, parent=parent),))))
        assert f"1 0 — {words} 0" in text
        assert "Versions 1, an adopted base" in text
        assert "ann-smith" not in text


def test_champion_of_no_wave_serves() -> None:
    foreign = replace(make_version(make_wave(8, NOW)), wave=None, aliases=("champion",), kind=None)
    page = render_report(make_facts(versions=(make_version(make_wave(0, NOW)), foreign)))
    assert "Version 9 serves, which no wave has registered." in page
    assert "Version that serves 9, registered by no wave" in read_text(page)


def test_copies_in_clear_are_told() -> None:
    start = NOW - 60 * DAY
    requests = [make_request(number, start, wave=number, is_sealed=False) for number in (1, 2)]
    text = read_text(render_report(make_facts(requests=tuple(report_requests(requests, MODEL, NOW, [2])))))
    assert "R-000001 2026-05-01 2026-05-02, wave 1 not sealed, copies stay" in text
    assert "R-000002 2026-05-01 2026-05-02, wave 2 copies are destroyed" in text
    assert "those of 1 request stay until they are removed by hand" in text


def test_law_and_what_was_put_off_stand_with_the_due_date() -> None:
    plain, other, put_off = (make_request(number, NOW - 60 * DAY, erased_after=50) for number in (1, 2, 3))
    extension = Extension(f"for {PERSON}", NOW - 40 * DAY, put_off.due_at)
    requests = [plain, replace(other, law="ccpa"), replace(put_off, due_at=NOW, extension=extension)]
    (table,) = tabulate_deadlines(report_requests(requests, MODEL, NOW), NOW)
    assert [row[4] for row in table.rows] == ["2026-05-31", "2026-05-31, ccpa", "2026-06-30, put off from 2026-05-31"]
    assert PERSON not in str(table)


def test_due_is_the_whole_day() -> None:
    start = NOW - 60 * DAY
    late = make_request(1, start, erased_after=30)
    erasure = late.outcomes[0].erasure
    assert erasure is not None
    later = replace(erasure, erased_at=late.due_at + DAY / 24)
    (one,) = report_requests([replace(late, outcomes=(replace(late.outcomes[0], erasure=later),))], MODEL, NOW)
    assert one.standing == "kept"


def test_erasure_that_is_begun_is_told() -> None:
    begun = make_request(1, NOW - 20 * DAY, erased_after=None)
    outcome = begun.outcomes[0]
    assert outcome.erasure is not None
    begun = replace(begun, outcomes=(replace(outcome, erasure=replace(outcome.erasure, started_at=NOW)),))
    text = read_text(render_report(make_facts(requests=tuple(report_requests([begun], MODEL, NOW)))))
    assert "wave 1 begun 2026-07-10 under way, 10 days left" in text


@pytest.mark.parametrize(
    ("earlier", "standing"),
    [
        (make_request(1, NOW - 60 * DAY), "kept"),
        (make_request(1, NOW - 60 * DAY, erased_after=None), "overdue"),
        (make_request(1, NOW - 60 * DAY, erased_after=None, is_held=True), "held"),
        (make_request(1, NOW - 60 * DAY, "pending", answered_after=None), "overdue"),
    ],
)
def test_who_was_forgotten_before_stands_as_the_request_that_had_it_done(earlier: Request, standing: str) -> None:
    again = make_request(2, NOW - 50 * DAY, "already_forgotten", answered_after=0, subject=earlier.subject_id)
    told = report_requests([earlier, again], MODEL, NOW)[1]
    assert told.standing == standing
    text = read_text(render_report(make_facts(requests=(told,))))
    assert ("undone by a rollback" in text) is (earlier.outcomes[0].state == "pending")


def test_print_says_what_it_leaves_out() -> None:
    page = render_report(make_year())
    assert f"{366 - MAX_SHOWN} rows of this table left out in print" in page
    assert page.count("<details>") == page.count('class="note printed"')


def test_histogram_is_broken_where_a_part_is_left_out() -> None:
    across, up = Axis(0, 1, 0, 100), Axis(0, 1, 100, 0)
    assert list_runs((0.5, None, None, 0.5), across, up) == [[(0, 50), (25, 50)], [(75, 50), (100, 50)]]


def test_report_of_the_workspace_is_whole_however_many_write_it(tmp_path: Path) -> None:
    pages = {letter * (1 << 20) for letter in "abcd"}
    with ThreadPoolExecutor() as pool:
        written = list(pool.map(lambda page: write_page(tmp_path, None, page), [*pages] * 8))
    assert written == [tmp_path / REPORT] * 32
    assert (tmp_path / REPORT).read_text(encoding="ascii") in pages
    assert (tmp_path / REPORT).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", [REPORT, REPORT_LOCK])
def test_report_that_cannot_be_written_is_one_line(name: Path, tmp_path: Path) -> None:
    (tmp_path / name).mkdir(parents=True)
    with pytest.raises(InputError, match=f"^amun report: {tmp_path / name}: Is a directory"):
        write_page(tmp_path, None, "page")


def test_calendar_tells_what_is_due_on_which_day() -> None:
    requests = [
        make_request(1, NOW - 29 * DAY, "pending", answered_after=None),  # due tomorrow, with the next one
        make_request(2, NOW - 29 * DAY, "in_wave", answered_after=None),
        make_request(3, NOW - 20 * DAY, "held", answered_after=None, is_held=True),
        make_request(4, NOW - 40 * DAY, "pending", answered_after=None),
        make_request(5, NOW - 60 * DAY),  # done
        make_request(6, NOW + 90 * DAY, "pending", answered_after=None),
    ]
    reported = report_requests(requests, MODEL, NOW)
    wide, narrow = re.findall(r"<svg.*?</svg>", draw_calendar(reported, NOW))
    for picture in (wide, narrow):
        drawn = ElementTree.fromstring(picture)  # noqa: S314 - our own
        texts = [one.text for one in drawn.iter("text")]
        # 30 June is a Tuesday: the weeks of 29 June and of the 13 after it
        assert texts[2:9] == ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
        assert [one.text for one in drawn.iter("text") if one.get("class") == "count"] == ["2"]
        assert texts[texts.index("29 Jun") :][:5] == ["29 Jun", "29", "30", "1", "2"]
        assert sum(one.get("class") == "cell today" for one in drawn.iter("rect")) == 1
        assert sum("cell" in str(one.get("class")) for one in drawn.iter("rect")) == 7 * 14
        # one in the legend
        assert sum(one.get("class") == "held" for one in drawn.iter("rect")) == 2
        assert drawn[1].text == (
            "From 2026-06-30 to 2026-10-04 2 requests are due. 1 request on hold would be. 1 request was due before. "
            "1 request is due later. The table has the days."
        )
    assert tabulate_due(reported, NOW).rows == (
        ("2026-06-20", "10 days ago", "1", "0"),
        ("2026-07-01", "in 1 day", "2", "0"),
        ("2026-07-10", "in 10 days", "0", "1"),
        ("2026-10-28", "in 120 days", "1", "0"),
    )
    late = draw_calendar(report_requests(requests[3:5], MODEL, NOW), NOW)
    assert "From 2026-06-29 to 2026-07-05 0 requests are due. 1 request was due before." in late.replace(
        "2026-06-30", "2026-06-29"
    )
    assert draw_calendar(report_requests(requests[4:5], MODEL, NOW), NOW) == ""
    (row,) = tabulate_due(report_requests(requests[:1], MODEL, NOW), NOW + DAY).rows
    assert row[1] == "today"


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


def test_accuracy_is_bound_by_what_the_gate_asked() -> None:
    waves = [make_wave(0, NOW, test={"accuracy": 0.95}), make_wave(1, NOW), make_wave(2, NOW, state="parked")]
    base, unlearned = list_accuracy(waves, {0: BOUNDS, 1: BOUNDS})
    assert (base.is_exact, base.lowest, unlearned.lowest) == (True, None, 0.88)
    assert unlearned.upper == pytest.approx(0.9 + 1.96 * (0.9 * 0.1 / 400) ** 0.5)
    (left,) = list_memory(waves, {1: BOUNDS})
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
