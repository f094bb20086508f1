"""What is due in the weeks to come: a calendar that tells on each day how many requests are due by its end."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta

from markupsafe import Markup

from amun.core.counts import tell_count
from flows.pages.drawings.svg import WIDE, Drawing, draw_both
from tasks.views.reported_requests import ReportedRequest, find_date

MAX_WEEKS = 14  # the longest term of a law with its extension: three months
NAME = "calendar"
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
ROW = 30  # pixels
DAY = timedelta(days=1)
LEGEND = (("square", "awaited", "due on that day"), ("square", "held", "on hold until somebody says more"))


def count_due(requests: Sequence[ReportedRequest]) -> tuple[Counter[date], Counter[date]]:
    """Returns on which day how many requests are due that are not done: those on their way or late, those on hold."""
    waiting, held = Counter[date](), Counter[date]()
    for one in requests:
        if one.standing in ("running", "overdue"):
            waiting[find_date(one.due_at)] += 1
        elif one.standing == "held":
            held[find_date(one.due_at)] += 1
    return waiting, held


def draw_calendar(requests: Sequence[ReportedRequest], now: datetime) -> Markup:
    """Returns the weeks from this one to that of the last due date; nothing where nobody waits."""
    waiting, held = count_due(requests)
    today = find_date(now)
    if not (waiting or held):
        return Markup()
    # where all that waits is late there is this week still: it says so
    last = max(today, *waiting, *held)
    return draw_both(lambda width: _draw_weeks(waiting, held, today, last, width))


def _draw_weeks(waiting: Counter[date], held: Counter[date], today: date, last: date, width: int) -> Drawing:
    first = today - today.weekday() * DAY
    num_weeks = min((last - first).days // 7 + 1, MAX_WEEKS)
    label = 84 if width == WIDE else 50
    cell = (width - label - 8) / 7
    drawing = Drawing(NAME, width, 0, "How many requests are due on each day of the weeks to come", "")
    top = drawing.legend(16, LEGEND) + 18
    for number, name in enumerate(DAYS):
        drawing.text(label + (number + 0.5) * cell, top - 6, name, "small", "middle")
    for week in range(num_weeks):
        monday, y = first + 7 * week * DAY, top + ROW * week
        drawing.text(4, y + 19, f"{monday:%-d %b}", "small")
        for number in range(7):
            day = monday + number * DAY
            _add_day(drawing, day, today, waiting[day], held[day], label + number * cell, y, cell)
    drawing.height = top + ROW * num_weeks + 8
    drawing.description = _describe(waiting, held, today, first + 7 * num_weeks * DAY)
    return drawing


def _add_day(
    drawing: Drawing, day: date, today: date, num_waiting: int, num_held: int, x: float, y: float, cell: float
) -> None:
    kind = "today" if day == today else "past" if day < today else "day"
    drawing.add("rect", x=x + 1, y=y + 1, width=cell - 2, height=ROW - 2, class_=f"cell {kind}")
    drawing.text(x + 5, y + 12, f"{day.day}", "small")
    if num_waiting:
        drawing.add("rect", x=x + 0.55 * cell, y=y + 4, width=0.45 * cell - 4, height=ROW - 8, class_="awaited")
        drawing.text(x + 0.775 * cell - 2, y + 20, f"{num_waiting}", "count", "middle")
    if num_held:
        drawing.mark("square", x + 9, y + 21, 3.5, "held")
        drawing.text(x + 15, y + 25, f"{num_held}", "small")


def _describe(waiting: Counter[date], held: Counter[date], today: date, end: date) -> str:
    shown, on_hold = (_count(days, today, end) for days in (waiting, held))
    parts = [f"From {today} to {end - DAY} {tell_count(shown, 'request is', 'requests are')} due."]
    if on_hold:
        parts.append(f"{tell_count(on_hold, 'request', 'requests')} on hold would be.")
    if num_past := sum(number for day, number in waiting.items() if day < today):
        parts.append(f"{tell_count(num_past, 'request was', 'requests were')} due before.")
    if num_later := _count(waiting, end, date.max) + _count(held, end, date.max):
        parts.append(f"{tell_count(num_later, 'request is', 'requests are')} due later.")
    return " ".join([*parts, "The table has the days."])


def _count(days: Counter[date], begin: date, end: date) -> int:
    return sum(number for day, number in days.items() if begin <= day < end)
