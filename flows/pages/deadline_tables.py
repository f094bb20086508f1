"""The tables of the report that tell of its requests: each of them, or of many the months."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from statistics import median

from amun.core.counts import tell_count
from amun.ledger.laws import LAWS
from flows.pages.drawings.calendar import count_due
from flows.pages.layout import day, tell_erasure
from flows.pages.report_tables import Table
from tasks.views.reported_requests import ReportedRequest, find_date

MAX_LISTED = 60  # requests; of more the months are told, and who is late or waits
OPEN = ("late", "overdue", "running", "held")
WAITING = {
    "pending": "waits for a night",
    "held": "on hold",
    "in_wave": "in a wave under way",
    "unmatched": "matches nobody in the data",
    "withdrawn": "withdrawn",
    "denied": "denied",
    "already_forgotten": "undone by a rollback",
}


def tabulate_deadlines(requests: Sequence[ReportedRequest], now: datetime) -> list[Table]:
    """Returns each request, or of many the months and those that are late or not done, the first due at the top."""
    if len(requests) <= MAX_LISTED:
        return [_list_requests("Each request, in the order in which they came", requests, now)] * bool(requests)
    waiting = sorted((one for one in requests if one.standing in OPEN), key=lambda one: one.due_at)
    listed = _list_requests("Requests that are late or not done yet, the first due at the top", waiting, now)
    return [_count_months(requests), *[_join_alike(listed)] * bool(waiting)]


def tabulate_list(requests: Sequence[ReportedRequest], now: datetime) -> Table:
    """Returns each request of a page of the list, of which the page has not what the same people asked before."""
    table = _list_requests("Requests, the latest first", requests, now)
    rows = [
        (*cells[:-1], "as the person's earlier request") if one.state == "already_forgotten" else cells
        for one, cells in zip(requests, table.rows, strict=True)
    ]
    return replace(table, rows=tuple(rows))


def tabulate_due(requests: Sequence[ReportedRequest], now: datetime) -> Table:
    """Returns on which days how many requests are due that are not done, the first day at the top."""
    waiting, held = count_due(requests)
    today = find_date(now)
    rows = [
        (f"{at}", _tell_away((at - today).days), str(waiting[at]), str(held[at])) for at in sorted({*waiting, *held})
    ]
    return Table("What is due, day by day", ("due on", "that is", "not done yet", "on hold"), tuple(rows))


def _tell_away(days: int) -> str:
    if days == 0:
        return "today"
    return f"in {tell_count(days, 'day')}" if days > 0 else f"{tell_count(-days, 'day')} ago"


def _join_alike(table: Table) -> Table:
    """Returns the table with one row for all requests of which it tells the same."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for request_id, *cells in table.rows:
        groups.setdefault(tuple(cells), []).append(request_id)
    rows = [(ids[0] + (f" +{len(ids) - 1}" if len(ids) > 1 else ""), *cells) for cells, ids in groups.items()]
    return replace(table, rows=tuple(rows))


def _list_requests(caption: str, requests: Iterable[ReportedRequest], now: datetime) -> Table:
    rows = [
        (
            one.request_id,
            day(one.received_at),
            _tell_answer(one),
            _tell_erasure(one),
            _tell_due(one),
            _tell_standing(one, now),
        )
        for one in requests
    ]
    return Table(caption, ("request", "received", "forgotten", "erased", "due", "deadline"), tuple(rows))


def _tell_due(one: ReportedRequest) -> str:
    """Returns by when, by which law where that is not the usual one, and from when it was put off."""
    law = "" if one.law == LAWS[0] else f", {one.law}"
    return f"{day(one.due_at)}{law}" + ("" if one.due_before is None else f", put off from {day(one.due_before)}")


def _tell_answer(one: ReportedRequest) -> str:
    if one.answered_at is None:
        return WAITING.get(one.state, one.state)
    note = {"nothing_held": ", nothing is held", "already_forgotten": ", had been before"}.get(one.state, "")
    wave = f", wave {one.wave_number}" if one.state == "completed" else ""
    return f"{day(one.answered_at)}{wave}{note}"


def _tell_erasure(one: ReportedRequest) -> str:
    if one.erasure is not None:
        return tell_erasure(one.erasure)
    if one.is_in_clear:
        return "not sealed, copies stay"
    return "copies are destroyed" if one.state == "completed" else "—"


def _tell_standing(one: ReportedRequest, now: datetime) -> str:
    days = (find_date(one.due_at) - find_date(one.done_at or now)).days
    left = tell_count(abs(days), "day")
    return {
        "held": f"on hold, {left} overdue" if days < 0 else "on hold",
        "withdrawn": "withdrawn",
        "denied": "denied",
        "kept": f"kept, {left} to spare",
        "late": f"late by {left}",
        "running": f"under way, {left} left",
        "overdue": f"overdue by {left}",
    }[one.standing]


def _count_months(requests: Sequence[ReportedRequest]) -> Table:
    months: dict[str, list[ReportedRequest]] = {}
    for one in requests:
        months.setdefault(f"{one.received_at:%Y-%m}", []).append(one)
    rows = []
    for month, own in sorted(months.items(), reverse=True):
        days = list_days(own)
        counts = [sum(one.standing in group for one in own) for group in (("kept",), ("late",), ("running", "overdue"))]
        longest = [f"{median(days):g}", str(max(days))] if days else ["—", "—"]
        rows.append((month, str(len(own)), *map(str, counts), *longest))
    columns = ("received in", "requests", "in time", "late", "not done yet", "days, median", "days, longest")
    return Table("Requests by the month in which they came", columns, tuple(rows), is_of_numbers=True)


def list_days(requests: Iterable[ReportedRequest]) -> list[int]:
    """Returns in how many days each request was done that a wave has honoured; others were answered at once."""
    return [one.num_days for one in requests if one.state == "completed" and one.num_days is not None]
