"""How long a database on Postgres may keep silent: while a connection is made, and while it is asked."""

from collections.abc import Generator
from time import monotonic
from typing import Any

import psycopg

from amun.core.network import read_timeout, read_whole_timeout


class BoundedConnection(psycopg.Connection[Any]):
    """A connection on which no answer is waited for without an end.

    A server that has taken a statement and hangs says nothing more, while its machine acknowledges what it is sent.
    """

    max_wait_seconds: float

    def wait(self, gen: Generator[Any, Any, Any], interval: float = 0.1, timeout: float | None = None) -> Any:
        """Returns one answer; raises OperationalError where it does not come."""
        began, seconds = monotonic(), self.max_wait_seconds if timeout is None else timeout
        try:
            return super().wait(gen, interval, seconds)
        except psycopg.OperationalError:
            if monotonic() - began < seconds:
                raise
            self.pgconn.finish()  # nobody asks it to roll back, and waits again
            raise psycopg.OperationalError(f"no answer within {seconds:g} seconds") from None


def connect_bounded(busy_seconds: float, _dialect: object, _record: object, arguments: Any, options: Any) -> Any:
    """Returns a connection whose waits end: after the timeout, on top of the time that another writer may take."""
    connection = BoundedConnection.connect(*arguments, **options)
    connection.max_wait_seconds = busy_seconds + read_timeout()
    return connection


def bound_waits() -> dict[str, int]:
    """Returns libpq's own bounds: while a connection is made, and while what was sent is not acknowledged."""
    seconds = read_whole_timeout()
    return {"connect_timeout": seconds, "tcp_user_timeout": 1000 * seconds}
