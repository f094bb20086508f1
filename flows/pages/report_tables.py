"""The tables of the report: one beside each picture, so that nothing in it has to be seen."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import median

from amun.core.counts import tell_count
from amun.ledger import Wave
from flows.pages.drawings.series import Point
from flows.pages.layout import day
from tasks.views.lineage import Version
from tasks.views.report_curves import FORGOTTEN, MIN_CELL, UNSEEN, Curves
from tasks.views.report_facts import RaisedAlerts
from tasks.views.reported_requests import ReportedRequest

MAX_SHOWN = 30  # rows; the rest is folded
MAX_LISTED = 60  # requests; of more the months are told, and who is late or waits
FEW = f"fewer than {MIN_CELL}"
OPEN = ("late", "overdue", "running", "held")
WAITING = {
    "pending": "waits for a night",
    "held": "on legal hold",
    "in_wave": "in a wave under way",
    "unmatched": "matches nobody in the data",
    "withdrawn": "withdrawn",
}


@dataclass(frozen=True)
class Table:
    """A table; the first cell of a row says what the row is about.

    Attributes:
        caption: what it is, in one line.
        columns: their heads.
        rows: of words, the ones that are read first at the top.
        is_of_numbers: all cells but the first are numbers.
        is_of_words: some cells are sentences.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    is_of_numbers: bool = False
    is_of_words: bool = False

    @property
    def look(self) -> str:
        """The class by which the page sets it."""
        return "numbers" if self.is_of_numbers else "words" if self.is_of_words else "days"

    @property
    def shown(self) -> tuple[tuple[str, ...], ...]:
        """The rows that are there at once."""
        return self.rows[:MAX_SHOWN]

    @property
    def folded(self) -> tuple[tuple[str, ...], ...]:
        """The rows that one opens."""
        return self.rows[MAX_SHOWN:]


def tabulate_deadlines(requests: Sequence[ReportedRequest], now: datetime) -> list[Table]:
    """Returns each request, or of many the months and those that are late or not done, the first due at the top."""
    if len(requests) <= MAX_LISTED:
        return [_list_requests("Each request, in the order in which they came", requests, now)] * bool(requests)
    waiting = sorted((one for one in requests if one.standing in OPEN), key=lambda one: one.due_at)
    listed = _list_requests("Requests that are late or not done yet, the first due at the top", waiting, now)
    return [_count_months(requests), *[_join_alike(listed)] * bool(waiting)]


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
            day(one.due_at),
            _tell_standing(one, now),
        )
        for one in requests
    ]
    return Table(caption, ("request", "received", "forgotten", "erased", "due", "deadline"), tuple(rows))


def _tell_answer(one: ReportedRequest) -> str:
    if one.answered_at is None:
        return WAITING.get(one.state, one.state)
    note = {"nothing_held": ", nothing is held", "already_forgotten": ", had been before"}.get(one.state, "")
    wave = f", wave {one.wave_number}" if one.state == "completed" else ""
    return f"{day(one.answered_at)}{wave}{note}"


def _tell_erasure(one: ReportedRequest) -> str:
    if one.erased_at is not None:
        return day(one.erased_at)
    if one.erase_after is not None:
        return f"after {day(one.erase_after)}"
    return "nothing is sealed" if one.state == "completed" else "—"


def _tell_standing(one: ReportedRequest, now: datetime) -> str:
    if one.standing in ("held", "withdrawn"):
        return {"held": "on legal hold", "withdrawn": "withdrawn"}[one.standing]
    days = (one.due_at.date() - (one.done_at or now).date()).days
    left = tell_count(abs(days), "day")
    return {
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
        days = [(one.done_at - one.received_at).days for one in own if one.done_at is not None]
        counts = [sum(one.standing in group for one in own) for group in (("kept",), ("late",), ("running", "overdue"))]
        longest = [f"{median(days):g}", str(max(days))] if days else ["—", "—"]
        rows.append((month, str(len(own)), *map(str, counts), *longest))
    columns = ("received in", "requests", "in time", "late", "not done yet", "days, median", "days, longest")
    return Table("Requests by the month in which they came", columns, tuple(rows), is_of_numbers=True)


def tabulate_waves(waves: Sequence[Wave], accuracy: Sequence[Point], memory: Sequence[Point]) -> Table:
    """Returns accuracy and memory left of each wave, the latest at the top."""
    by_number = {wave.number: wave for wave in waves}
    left = {point.number: point for point in memory}
    rows = []
    for point in reversed(accuracy):
        wave, own = by_number[point.number], left.get(point.number)
        summary = wave.summary
        method = "new base" if wave.kind == "base" else (summary.method or "") if summary is not None else ""
        rows.append(
            (
                str(point.number),
                "" if wave.closed_at is None else day(wave.closed_at),
                "" if summary is None or not summary.num_subjects else str(summary.num_subjects),
                method,
                _tell_interval(point),
                _tell_share(point.retrained),
                _tell_share(point.lowest),
                "—" if own is None else _tell_interval(own),
                "—" if own is None else _tell_share(own.retrained),
                "—" if own is None or own.highest is None else f"± {own.highest:.0%}",
            )
        )
    columns = (
        "wave",
        "closed",
        "people",
        "method",
        "accuracy",
        "retrained",
        "at least",
        "memory left",
        "retrained",
        "margin",
    )
    return Table("Accuracy and memory left of each wave, the latest at the top", columns, tuple(rows))


def _tell_interval(point: Point) -> str:
    if point.value is None:
        return "not measured"
    if point.lower is None or point.upper is None:
        return _tell_share(point.value)
    return f"{point.value:.1%} [{100 * point.lower:.1f}, {100 * point.upper:.1f}]"


def _tell_share(value: float | None) -> str:
    return "—" if value is None else f"{value:.1%}"


def tabulate_histograms(curves: Curves) -> Table:
    """Returns the shares of the histograms, the surest part at the top."""
    words = {FORGOTTEN: "forgotten", UNSEEN: "never trained on"}
    columns = ["confidence", *(f"{words[one.group]}, {one.moment}" for one in curves.histograms)]
    num_parts = len(curves.histograms[0].shares)
    rows = [
        (
            f"{number / num_parts:.0%} to {(number + 1) / num_parts:.0%}",
            *(_tell_cell(one.shares[number]) for one in curves.histograms),
        )
        for number in reversed(range(num_parts))
    ]
    return Table(f"Share of samples, wave {curves.number}", tuple(columns), tuple(rows), is_of_numbers=True)


def tabulate_roc(curves: Curves) -> Table:
    """Returns the points of the ROC curve; empty where there is none."""
    roc = curves.roc
    if roc is None:
        return Table("", (), ())
    rows = [
        (f"{rate:.1%}", *(_tell_cell(found[number]) for found in roc.found.values()))
        for number, rate in enumerate(roc.rates)
    ]
    columns = ("taken for members among the unseen", *(f"found {moment}" for moment in roc.found))
    return Table(f"Points of the curve, wave {curves.number}", columns, tuple(rows), is_of_numbers=True)


def _tell_cell(share: float | None) -> str:
    return FEW if share is None else f"{share:.1%}"


def tabulate_versions(versions: Sequence[Version]) -> Table:
    """Returns every version, the latest at the top."""
    rows = [
        (
            str(version.number),
            "—" if version.wave is None else str(version.wave),
            version.parent or "—",
            "new base" if version.kind == "base" else version.method or "—",
            "—" if version.num_subjects is None else str(version.num_subjects),
            day(version.registered_at),
            "; ".join(_list_marks(version)) or "—",
        )
        for version in reversed(versions)
    ]
    columns = ("version", "wave", "made from", "method", "people forgotten so far", "registered", "state")
    return Table("Versions of the model, the latest at the top", columns, tuple(rows))


def _list_marks(version: Version) -> list[str]:
    marks = ["serves"] * ("champion" in version.aliases)
    # what the mark of a rollback says is an operator's own words
    marks += ["out of service after a rollback"] * (version.rolled_back is not None)
    if version.weights_erased_at is not None:
        marks.append(f"weights erased {version.weights_erased_at}")
    if version.wave is None:
        marks.append("registered by no wave")
    return marks


def tabulate_alerts(alerts: Sequence[RaisedAlerts]) -> Table:
    """Returns how often somebody was told of what."""
    rows = [(one.kind, str(one.number), day(one.last_at)) for one in alerts]
    return Table("Alerts that were raised, by kind", ("alert", "times", "last"), tuple(rows))
