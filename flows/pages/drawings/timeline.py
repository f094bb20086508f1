"""Requests in time: each a mark between received, forgotten, erased and due."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta

from markupsafe import Markup

from amun.core.counts import tell_count
from flows.pages.drawings.svg import WIDE, Axis, Drawing, draw_both, list_ticks
from tasks.views.reported_requests import ReportedRequest, find_date

MAX_ROWS = 24
ROW = 19  # pixels
NAME = "deadlines"
LEGEND = (
    ("bar", "axis", "received"),
    ("disc", "done", "forgotten"),
    ("square", "erased", "erased"),
    ("bar", "due", "due"),
    ("cross", "late", "past the due date"),
)
# whose days are all alike
Row = tuple[date, date, date | None, date | None, bool]


def draw_deadlines(requests: Sequence[ReportedRequest], now: datetime) -> Markup:
    """Returns the requests on a line each, those whose days are alike together; of many nights each as marks."""
    rows: dict[Row, list[str]] = {}
    for one in requests:
        rows.setdefault(_make_row(one, find_date(now)), []).append(one.request_id)
    if not rows:
        return Markup()
    if len(rows) <= MAX_ROWS:
        return draw_both(lambda width: _draw_rows(rows, find_date(now), width))
    return draw_both(lambda width: _draw_marks(rows, find_date(now), width))


def _make_row(one: ReportedRequest, today: date) -> Row:
    is_late = one.standing in ("late", "overdue") or (one.standing == "held" and find_date(one.due_at) < today)
    days = (None if at is None else find_date(at) for at in (one.answered_at, one.erased_at))
    return find_date(one.received_at), find_date(one.due_at), *days, is_late  # type: ignore[return-value]


def _draw_rows(rows: dict[Row, list[str]], today: date, width: int) -> Drawing:
    first = min(row[0] for row in rows)
    last = max(day for row in rows for day in (*row[:4], today) if day is not None)
    label = 136 if width == WIDE else 116
    across = Axis(first.toordinal(), max(last, first + timedelta(days=1)).toordinal(), label, width - 22)
    drawing = Drawing(NAME, width, 0, "When requests were received, forgotten and erased, and when they were due", "")
    top = drawing.legend(16, LEGEND) + 16  # today stands above
    foot = top + ROW * len(rows)
    _add_today(drawing, across, today, top - 4, foot)
    for number, (row, ids) in enumerate(sorted(rows.items(), key=lambda item: item[1][0])):
        y = top + ROW * (number + 0.5)
        drawing.text(8, y + 4, ids[0] + (f" +{len(ids) - 1}" if len(ids) > 1 else ""), "small")
        _add_row(drawing, across, row, y)
    drawing.line(label, foot, width - 22, foot, "axis")
    drawing.ticks_below(across, foot, _list_days(first, last, 5 if width == WIDE else 2))
    drawing.height = foot + 26
    drawing.description = (
        f"{tell_count(sum(map(len, rows.values())), 'request')} on {tell_count(len(rows), 'line')}, from {first} to "
        f"{last}. On {tell_count(sum(row[4] for row in rows), 'line')} something is past the due date. The table "
        "has the days."
    )
    return drawing


def _add_row(drawing: Drawing, across: Axis, row: Row, y: float) -> None:
    received, due, forgotten, erased, is_late = row
    places = [across.place(day.toordinal()) for day in (received, due)]
    drawing.line(*(places[0], y), *(places[1], y), "span")
    if forgotten is not None:
        drawing.line(places[0], y, across.place(forgotten.toordinal()), y, "worked")
    drawing.mark("bar", places[0], y, 3.5, "axis")
    drawing.mark("bar", places[1], y, 4, "due")
    if erased is not None:
        drawing.mark("square", across.place(erased.toordinal()), y, 4, "erased")
    if forgotten is not None:
        drawing.mark("disc", across.place(forgotten.toordinal()), y, 4, "done")
    if is_late:
        drawing.mark("cross", places[1], y, 5, "late")


def _draw_marks(rows: dict[Row, list[str]], today: date, width: int) -> Drawing:
    """Returns the picture of many nights: when a request came against the days until something happened to it."""
    days = [row[0] for row in rows]
    first, last = min(days), max(*days, min(days) + timedelta(days=1))
    marks: Counter[tuple[date, int, str]] = Counter()
    for (received, due, forgotten, erased, is_late), ids in rows.items():
        for kind, day in (("due", due), ("done", forgotten), ("erased", erased)):
            if day is not None:
                marks[received, (day - received).days, kind] += len(ids)
        if is_late:
            marks[
                received, (max(today, due) - received).days if forgotten is None else (due - received).days, "late"
            ] += len(ids)
    longest = max(after for _, after, _ in marks)
    drawing = Drawing(NAME, width, 0, "Days from receipt until requests were forgotten, erased and due", "")
    top, foot = drawing.legend(16, LEGEND[1:]) + 10, 300
    across, up = Axis(first.toordinal(), last.toordinal(), 44, width - 22), Axis(0, longest * 1.04, foot, top)
    drawing.ticks_left(up, 44, width - 22, [(tick, f"{tick:g}") for tick in list_ticks(0, longest, 5)])
    drawing.line(44, foot, width - 22, foot, "axis")
    drawing.ticks_below(across, foot, _list_days(first, last, 5 if width == WIDE else 2))
    drawing.text(8, top - 6, "days since the request came", "small")
    shapes = {"due": ("bar", 1.5), "erased": ("square", 2), "done": ("disc", 2.2), "late": ("cross", 4)}
    for (received, after, kind), _ in sorted(marks.items(), key=lambda item: list(shapes).index(item[0][2])):
        shape, size = shapes[kind]
        drawing.mark(shape, across.place(received.toordinal()), up.place(after), size, kind)
    drawing.height = foot + 42
    drawing.text((44 + width - 22) / 2, foot + 36, "day on which the request came", "small", "middle")
    num_late = sum(number for (*_, kind), number in marks.items() if kind == "late")
    drawing.description = (
        f"{tell_count(sum(map(len, rows.values())), 'request')} received from {first} to {last}, each at the days "
        f"after receipt on which the person was forgotten and erased, below the days on which it was due. "
        f"Crosses mark {tell_count(num_late, 'request')} past the due date. The table has the months."
    )
    return drawing


def _add_today(drawing: Drawing, across: Axis, today: date, top: float, foot: float) -> None:
    if across.low <= today.toordinal() < across.high:
        x = across.place(today.toordinal())
        drawing.line(x, top, x, foot, "today")
        drawing.text(x, top - 1, "today", "small", "middle")


def _list_days(first: date, last: date, num_steps: int) -> list[tuple[float, str]]:
    length = max((last - first).days, 1)
    step = max(1, -(-length // num_steps))
    form = "%-d %b" if length < 300 else "%b %Y"
    return [(day, f"{date.fromordinal(day):{form}}") for day in range(first.toordinal(), last.toordinal() + 1, step)]
