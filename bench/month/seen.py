"""What stands in a workspace's ledger, read from its tables: no command is asked, and none is waited for."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from amun.core.paths import LEDGER

WAITING = ("pending", "in_wave", "unmatched")


class SeenRequest(NamedTuple):
    """A request, and how far it is."""

    number: int
    subject: str
    received_at: datetime
    state: str

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for a wave or a person, or is in a wave."""
        return self.state in WAITING


class SeenErasure(NamedTuple):
    """Whoever is to be erased after a time, whether that has begun, and when it was done."""

    subject: str
    erase_after: datetime
    has_begun: bool
    erased_at: datetime | None


@dataclass(frozen=True)
class Seen:
    """A ledger at a moment.

    Attributes:
        requests: by number.
        erasures: of all who are forgotten.
        waves: when each one was opened, by number.
        open_waves: those that are open, likewise.
    """

    requests: dict[int, SeenRequest]
    erasures: Sequence[SeenErasure]
    waves: dict[int, datetime]
    open_waves: dict[int, datetime]

    @property
    def waiting(self) -> list[SeenRequest]:
        """Requests that wait."""
        return [one for one in self.requests.values() if one.is_waiting]

    def was_honoured(self, number: int) -> bool:
        """Tells whether a request is there, and waits no more."""
        return number in self.requests and not self.requests[number].is_waiting


def look(root: Path) -> Seen:
    """Returns what stands in the ledger of a workspace."""
    # not read-only: what somebody who was killed has left half-written is rolled back by the next who opens it
    with closing(sqlite3.connect(root / LEDGER, timeout=60)) as ledger:
        requests = ledger.execute(
            "SELECT number, requests.subject_id, received_at, state FROM requests"
            " JOIN request_outcomes ON request_number = number"
        ).fetchall()
        erasures = ledger.execute(
            "SELECT subject_id, erase_after, started_at, erased_at FROM erasures"
            " JOIN requests ON request_number = number"
        ).fetchall()
        waves = ledger.execute("SELECT number, opened_at, state FROM waves").fetchall()
    return Seen(
        {row[0]: SeenRequest(row[0], row[1], _read_time(row[2]), row[3]) for row in requests},
        [
            SeenErasure(subject, _read_time(after), begun is not None, done and _read_time(done))
            for subject, after, begun, done in erasures
        ],
        {number: _read_time(opened) for number, opened, _ in waves},
        {number: _read_time(opened) for number, opened, state in waves if state == "open"},
    )


def _read_time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
