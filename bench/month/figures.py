"""What a month was, in numbers: as a file, and as the table of docs/month.md."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel

from bench.month.days import Month
from bench.month.plan import Day


class Figures(BaseModel):
    """A month in numbers.

    Attributes:
        seed: from which it was drawn.
        nights: days on which somebody asked.
        quiet_nights: that followed, until everybody was erased.
        people: who have asked, strangers and who asked again once.
        strangers: of them, whom nobody in the data is.
        ways: how many demands came by which way.
        laws: how many demands ran by whose clock.
        faults: how many nights each kind came in the way of; one that was drawn, and came too late, is none.
        waves: that are complete, less the base.
        alerts: how many were due of each kind, and were told.
        mails: in which they were told.
        least_days: that were left of anybody's term when they were erased.
        minutes: that it took, by the machine's own clock.
        wrong: how many things were not as they have to be.
    """

    seed: int
    nights: int
    quiet_nights: int
    people: int
    strangers: int
    ways: Mapping[str, int]
    laws: Mapping[str, int]
    faults: Mapping[str, int]
    waves: int
    alerts: Mapping[str, int]
    mails: int
    least_days: float
    minutes: int
    wrong: int


def count(month: Month, days: Sequence[Day], minutes: float, num_wrong: int) -> Figures:
    """Returns a month in numbers."""
    asked = [one.ask for one in month.desk.asked]
    waves = month.site.git("tag", "--list", "wave/*").split()
    return Figures(
        seed=month.seed,
        nights=len(days),
        quiet_nights=month.num_days - len(days),
        people=len({one.subject for one in asked}),
        strangers=sum(one.is_stranger for one in asked),
        ways=Counter(one.way for one in asked),
        laws=Counter(one.law for one in asked),
        faults=dict(Counter(month.struck).most_common()),
        waves=len(waves) - 1,
        alerts=Counter(one.kind for one in month.list_alerts_due()),
        mails=month.receivers.num_mails,
        least_days=round(month.find_least_days(), 1),
        minutes=round(minutes),
        wrong=num_wrong,
    )


def read_figures(path: Path) -> Figures:
    """Returns what a month has written."""
    return Figures.model_validate(json.loads(path.read_text(encoding="utf-8")))


def list_rows(figures: Figures) -> list[str]:
    """Returns the rows of the page's table."""
    return [
        f"| people who asked | {figures.people} |",
        f"| of them in no data | {figures.strangers} |",
        f"| demands by way | {_list_counts(figures.ways)} |",
        f"| demands by law | {_list_counts(figures.laws)} |",
        f"| nights | {figures.nights}, and {figures.quiet_nights} more until everybody was erased |",
        f"| what came in their way | {_list_counts(figures.faults)} |",
        f"| waves | {figures.waves} |",
        f"| alerts due, and told | {_list_counts(figures.alerts)} |",
        f"| least time left when somebody was erased | {figures.least_days} days |",
        f"| not as it has to be | {figures.wrong} |",
    ]


def _list_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(counts.items(), key=lambda one: (-one[1], one[0])))
