"""The tables of the report: one beside each picture, so that nothing in it has to be seen."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from amun.core.counts import tell_forgotten
from amun.ledger import Wave
from flows.pages.drawings.series import Point
from flows.pages.layout import day
from tasks.views.lineage import Version
from tasks.views.report_curves import FORGOTTEN, UNSEEN, Curves
from tasks.views.report_facts import RaisedAlerts

MAX_SHOWN = 30  # rows; the rest is folded
LEFT_OUT = "left out"


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
                ""
                if summary is None or not summary.num_subjects
                else tell_forgotten(summary.num_subjects, summary.num_canaries),
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
        "accuracy if retrained",
        "at least (gate)",
        "memory left",
        "memory left if retrained",
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
    return LEFT_OUT if share is None else f"{share:.1%}"


def tabulate_versions(versions: Sequence[Version]) -> Table:
    """Returns every version, the latest at the top."""
    rows = [
        (
            str(version.number),
            "—" if version.wave is None else str(version.wave),
            "—" if version.parent is None or version.is_adopted else version.parent,
            _tell_method(version),
            "—" if version.num_subjects is None else str(version.num_subjects),
            day(version.registered_at),
            "; ".join(_list_marks(version)) or "—",
        )
        for version in reversed(versions)
    ]
    columns = ("version", "wave", "made from", "method", "people forgotten so far", "registered", "state")
    return Table("Versions of the model, the latest at the top", columns, tuple(rows))


def _tell_method(version: Version) -> str:
    if version.kind != "base":
        return version.method or "—"
    # of a file that it was adopted from the name may be anything
    parent = version.parent or ""
    named = parent if re.fullmatch(r"models:/[^/]+/\d+|\d+", parent) else ""
    return f"adopted base{' from ' * bool(named)}{named}" if version.is_adopted else "new base"


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
