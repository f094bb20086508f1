"""Statutory clocks: by when a request has to be honoured, and how far that may be put off once, with a reason.

Sources: GDPR article 12(3) and (6), with the European Data Protection Board's Guidelines 01/2022 for the time in which
an identity is verified; CCPA, Cal. Civ. Code 1798.130(a)(2)(A), with 11 CCR 7021(b) for the same.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

from dateutil.relativedelta import relativedelta

from amun.core.errors import InputError

Law = Literal["gdpr", "ccpa"]
LAWS: tuple[Law, ...] = get_args(Law)


class Clock(NamedTuple):
    """What a law gives, counted from the receipt.

    Attributes:
        first: the time in which a request has to be honoured.
        extended: the same once it is extended.
        told: both in words, without and with the extension, and where they stand.
        stops: whether it stands still as long as nobody knows that it is the person who asks.
    """

    first: relativedelta
    extended: relativedelta
    told: tuple[str, str]
    stops: bool


CLOCKS: dict[Law, Clock] = {
    "gdpr": Clock(
        relativedelta(months=1),
        relativedelta(months=3),
        ("one calendar month, GDPR article 12(3)", "extended by two months to three, GDPR article 12(3)"),
        stops=True,
    ),
    "ccpa": Clock(
        relativedelta(days=45),
        relativedelta(days=90),
        ("45 days, Cal. Civ. Code 1798.130", "extended by 45 days to 90, Cal. Civ. Code 1798.130"),
        stops=False,
    ),
}

STOPPING = tuple(law for law in LAWS if CLOCKS[law].stops)


def check_law(text: str) -> Law:
    """Returns the law that a text names; the first one where it is empty.

    Raises:
        InputError: it names none.
    """
    name = text.strip().lower() or LAWS[0]
    if found := next((law for law in LAWS if law == name), None):
        return found
    raise InputError(f"{text[:40]!r} is no law whose clock is known; there are {', '.join(LAWS)}")


@lru_cache
def compute_due(received_at: datetime, law: Law = "gdpr") -> datetime:
    """Returns when a request is due, counted in UTC.

    Where the month has no such day, its last one.
    """
    return received_at.astimezone(UTC) + CLOCKS[law].first


@lru_cache
def compute_extended_due(received_at: datetime, law: Law) -> datetime:
    """Returns when a request is due once it is extended, counted as `compute_due` does."""
    return received_at.astimezone(UTC) + CLOCKS[law].extended


def stands_still(law: Law, due_at: datetime, doubted_at: datetime) -> bool:
    """Tells whether the clock of a request stands still since nobody knows whether it is the person who asks.

    One that had run out by then has nothing to stop: the request stays overdue.
    """
    return CLOCKS[law].stops and doubted_at <= due_at
