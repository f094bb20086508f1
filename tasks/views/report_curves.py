"""A wave's histograms of confidence and its ROC curve, as its commit keeps them, less what could tell of one person."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from amun.core.errors import AmunError
from amun.core.paths import CONFIDENCE, ROC
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
            one.
    """

    group: str
    moment: str
    shares: tuple[float | None, ...]


@dataclass(frozen=True)
class Roc:
    """The membership attack's curve.

    Attributes:
        rates: (N,) the share of the unseen that is taken for members, rising.
        found: for `before` and `after`, (N,) the share of the forgotten that is found at that rate; None where these
            are fewer than `MIN_CELL` samples.
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


def read_curves(root: Path, wave: Wave) -> Curves | None:
    """Returns the curves of a wave whose commit is in this clone; None where too few samples were forgotten.

    Raises:
        AmunError: git cannot read them, or they are damaged.
    """
    if wave.commit is None or wave.summary is None or not wave.summary.num_forget:
        return None
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
        moment: _hide([row[moment] for row in rows], num_forget)
        for moment in ("before", "after")
        if all(row[moment] is not None for row in rows)
    }
    return Roc(rates, found) if rates and found else None


def _hide(shares: Sequence[float | None], size: int) -> tuple[float | None, ...]:
    """Returns shares of so many samples, without those that stand for a few of them."""
    # a share has six digits in its file
    few = MIN_CELL - 1e-3
    return tuple(None if share is None or 0 < share * size < few else share for share in shares)


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
