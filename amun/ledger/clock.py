"""What the ledger knows of the time: it is written by several machines, and each takes its own clock's."""

from datetime import datetime

from sqlalchemy import func, select

from amun.ledger.database import Database
from amun.ledger.schema import AlertRow, NightRow, WaveRow

# what a program has taken from its clock; when somebody asked may be told by another
_STAMPS = (WaveRow.heartbeat_at, WaveRow.closed_at, NightRow.ended_at, AlertRow.raised_at)


class ClockBook(Database):
    """The part of the ledger by which clocks are compared."""

    def find_newest_stamp(self) -> datetime | None:
        """Returns the latest time that a program has written here by its own clock; None where there is none."""
        with self._read() as session:
            stamps = [session.scalar(select(func.max(column))) for column in _STAMPS]
        return max((stamp for stamp in stamps if stamp is not None), default=None)

    def read_server_time(self) -> datetime | None:
        """Returns what the clock of the Postgres server says now; None for a SQLite file, which has none."""
        if self._path is not None:
            return None
        with self._read() as session:
            found: datetime | None = session.scalar(select(func.clock_timestamp()))
            return found
