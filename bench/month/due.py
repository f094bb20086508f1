"""Which alerts were due in a month, by what the pages promise and what was done: nothing here asks the product."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from dateutil.relativedelta import relativedelta

from bench.month.plan import Law

# docs/alerts.md: what lasts is told once on each day, what a wave has come to and a file once for all
ONCE = (
    "wave-parked",
    "wave-refused",
    "wave-insufficient",
    "report-contradicts",
    "earlier-remembered",
    "file-rejected",
    "file-unmatched",
)
# docs/operations.md: a request is near when so little is left to the last night that is in time
DUE_DAYS = timedelta(days=5)
# erasure.waiting_days, three nights that may fail, and one in which the model is retrained
BEFORE_DUE = timedelta(days=7 + 3 + 1)
SILENT = timedelta(hours=26)
TOLD_FOR_DAYS = 3  # docs/alerts.md: for how long it is tried to tell
TERMS: dict[Law, relativedelta] = {"gdpr": relativedelta(months=1), "ccpa": relativedelta(days=45)}


class Alert(NamedTuple):
    """What was to be told, on which day; once for all it is of none."""

    kind: str
    object: str = ""
    day: str = ""

    @classmethod
    def of(cls, kind: str, name: str, raised_at: datetime) -> "Alert":
        """Returns what an alert was of that somebody was told."""
        return cls(kind, name, "" if kind in ONCE else raised_at.date().isoformat())


@dataclass(frozen=True)
class Moment:
    """When it was looked what there is to tell.

    Attributes:
        at: when.
        kind: a night has ended, or somebody has typed `amun alert check`.
        has_failed: the night ended with an error.
        due_dates: of the requests that wait then, or are in a wave.
        num_strays: requests that match nobody, and came in no file.
        is_stuck: somebody's waiting days were over when the night began, and they are not erased.
        open_waves: number, and since when, of those that are open.
    """

    at: datetime
    kind: Literal["night", "check"]
    has_failed: bool = False
    due_dates: Sequence[datetime] = field(default_factory=tuple)
    num_strays: int = 0
    is_stuck: bool = False
    open_waves: Sequence[tuple[int, datetime]] = field(default_factory=tuple)


def compute_due(received_at: datetime, law: Law) -> datetime:
    """Returns by when a demand has to be honoured: one calendar month by the GDPR, 45 days by the CCPA."""
    return received_at + TERMS[law]


def may_be_told_again(raised_at: datetime, killed: Iterable[datetime]) -> bool:
    """Tells whether a run was killed, at one of these dates, that may have told an alert and not written it down."""
    return any(0 <= (moment.date() - raised_at.date()).days <= TOLD_FOR_DAYS for moment in killed)


def list_due(
    moments: Iterable[Moment],
    built_at: datetime,
    *,
    complete: Iterable[int],
    strict: Iterable[int],
    files: Iterable[tuple[int, bool]],
) -> set[Alert]:
    """Returns which alerts were due.

    Args:
        moments: when it was looked, in their order.
        built_at: when the base was made: where no night has ended yet, it is silent since then.
        complete: numbers of the waves of few people that are complete.
        strict: of those in which an attempt was made that cannot pass.
        files: number of each file that was rejected, or of which somebody matches nobody; whether it was rejected.
    """
    due = {Alert("wave-insufficient", str(number)) for number in complete}
    due |= {Alert("wave-refused", str(number)) for number in strict}
    due |= {Alert("file-rejected" if is_rejected else "file-unmatched", str(number)) for number, is_rejected in files}
    last_night = built_at
    for moment in moments:
        due |= {Alert(kind, name, day) for kind, name, day in _look(moment, last_night)}
        if moment.kind == "night":
            last_night = moment.at
    return due


def _look(moment: Moment, last_night: datetime) -> Iterable[tuple[str, str, str]]:
    day = moment.at.date().isoformat()
    if moment.has_failed:
        yield "night-failed", "", day
    if any(moment.at > due for due in moment.due_dates):
        yield "request-overdue", "", day
    if any(due - BEFORE_DUE - DUE_DAYS <= moment.at <= due for due in moment.due_dates):
        yield "request-near", "", day
    if moment.num_strays:
        yield "request-unmatched", "", day
    if moment.is_stuck:
        yield "erasure-failed", "", day
    if moment.kind == "check" and moment.at - last_night > SILENT:
        yield "night-missing", "", day
    for number, since in moment.open_waves:
        if moment.at - since > SILENT:
            yield "wave-late", str(number), day
