"""A wave's histograms of confidence and its ROC curve, as its commit keeps them, less what could tell of one person."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from amun.core.errors import AmunError
from amun.core.paths import CONFIDENCE, ROC
from amun.evidence.wave import LOW_RATES, MIN_PEOPLE
from amun.ledger import Wave
from tasks.tools.git import read_committed

MIN_CELL = 5  # samples; what fewer share is not told
FORGOTTEN, UNSEEN = "forget", "test"


@dataclass(frozen=True)
class Histogram:
    """Confidence in the true label, of one group of samples.

    Attributes:
        group: the forgotten ones, or people never trained on.
        moment: before or after the wave.
        shares: (N,) of the group's samples in each of N equal parts of 0 to 1; None where fewer than `MIN_CELL` share
            one, or where one that is left out could be computed from it.
    """

    group: str
    moment: str
    shares: tuple[float | None, ...]


@dataclass(frozen=True)
class Roc:
    """The membership attack's curve.

    Attributes:
        rates: (N,) the share of the unseen that is taken for members, rising.
        found: for `before` and `after`, (N,) the share of the forgotten that is found at that rate; None where fewer
            than `MIN_CELL` samples are found, or are not, or more or less than at the next rate that is told.
    """

    rates: tuple[float, ...]
    found: dict[str, tuple[float | None, ...]]


@dataclass(frozen=True)
class Curves:
    """What a wave's plots show.

    Attributes:
        number: of the wave.
        histograms: of each group and moment for which there were enough samples.
        roc: None where there were too few samples, or no references.
    """

    number: int
    histograms: tuple[Histogram, ...]
    roc: Roc | None


def read_curves(root: Path, wave: Wave, num_people: int | None) -> Curves | None:
    """Returns the curves of a wave whose commit is in this clone; None where too few people or samples were forgotten.

    Args:
        root: of the workspace.
        wave: whose.
        num_people: whose samples one of them is of, at least; None where that is not recorded.

    Raises:
        AmunError: git cannot read them, or they are damaged.
    """
    if wave.commit is None or wave.summary is None or not wave.summary.num_forget:
        return None
    asked = wave.summary.num_subjects or 0
    if min(asked, asked if num_people is None else num_people) < MIN_PEOPLE:
        return None  # a part of many samples may be one person's
    confidence, roc = (_read_table(root, path, wave.commit) for path in (CONFIDENCE, ROC))
    test = wave.summary.test
    sizes = {FORGOTTEN: test.num_forget, UNSEEN: test.num_test}
    histograms = [
        Histogram(group, moment, _hide([row[f"{group}_{moment}"] for row in confidence], size))
        for moment in ("before", "after")
        for group, size in sizes.items()
        if all(row[f"{group}_{moment}"] is not None for row in confidence)
    ]
    if not any(one.group == FORGOTTEN for one in histograms):
        return None  # people never trained on tell nothing by themselves
    return Curves(wave.number, tuple(histograms), _make_roc(roc, test.num_forget))


def _make_roc(rows: Sequence[dict[str, float | None]], num_forget: int) -> Roc | None:
    rates = tuple(rate for row in rows if (rate := row["false_positive_rate"]) is not None)
    found = {
        moment: _hide_steps(rates, [row[moment] for row in rows], num_forget)
        for moment in ("before", "after")
        if all(row[moment] is not None for row in rows)
    }
    return Roc(rates, found) if rates and found else None


def _hide(shares: Sequence[float | None], size: int) -> tuple[float | None, ...]:
    """Returns shares of so many samples that make up the whole, without those that stand for a few of them.

    What is left out is a whole minus what is told: it must be two parts at least, and `MIN_CELL` samples.
    """
    counts = _count(shares, size)
    # the smallest first; none is left out where none is small
    filled = sorted((count, place) for place, count in enumerate(counts) if count)
    hidden: set[int] = set()
    num_hidden = 0
    for count, place in filled:
        if count >= MIN_CELL and (not hidden or (len(hidden) > 1 and num_hidden >= MIN_CELL)):
            break
        hidden.add(place)
        num_hidden += count
    return tuple(None if place in hidden else share for place, share in enumerate(shares))


def _hide_steps(rates: Sequence[float], shares: Sequence[float | None], size: int) -> tuple[float | None, ...]:
    """Returns rising shares of so many samples, without those that differ by a few from none, all or one that is told.

    The low rates fill in last: none is told at the cost of one that every wave has.
    """
    counts, told = _count(shares, size), dict[int, int]()
    for place in sorted(range(len(counts)), key=lambda place: (rates[place] in LOW_RATES, place)):
        below = max((count for other, count in told.items() if other < place), default=0)
        above = min((count for other, count in told.items() if other > place), default=size)
        if all(gap == 0 or gap >= MIN_CELL for gap in (counts[place] - below, above - counts[place])):
            told[place] = counts[place]
    return tuple(share if place in told else None for place, share in enumerate(shares))


def _count(shares: Sequence[float | None], size: int) -> list[int]:
    # a share has six digits in its file
    return [round((share or 0) * size) for share in shares]


def _read_table(root: Path, path: Path, commit: str) -> list[dict[str, float | None]]:
    committed = read_committed(root, path, commit)
    if committed is None:
        return []
    try:
        return [
            {name: float(cell) if cell else None for name, cell in row.items()}
            for row in csv.DictReader(committed.splitlines())
        ]
    except (TypeError, ValueError) as error:
        raise AmunError(f"{path} at {commit[:12]} is damaged: {error}") from None
