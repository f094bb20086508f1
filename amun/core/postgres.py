"""How long a database on Postgres may keep silent: while a connection is made, and while it is asked."""

from collections.abc import Generator
from contextlib import closing
from functools import cache
from time import monotonic
from typing import Any

import psycopg
from sqlalchemy import Engine, event, make_url

from amun.core.databases import BUSY_SECONDS
from amun.core.errors import AmunError, InputError, join_lines
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


def connect_utf8(busy_seconds: float, dialect: object, record: object, arguments: Any, options: Any) -> Any:
    """Returns the same to a database in UTF-8.

    Raises:
        InputError: it has another encoding.
    """
    connection = connect_bounded(busy_seconds, dialect, record, arguments, options)
    try:
        require_utf8(connection)
    except InputError:
        connection.close()
        raise
    return connection


def require_utf8(connection: psycopg.Connection[Any]) -> None:
    """Refuses a database that gives text back as bytes (SQL_ASCII), or has no letters for some names.

    Raises:
        InputError: names the database, and says how one in UTF-8 is made.
    """
    info = connection.info
    if (encoding := info.parameter_status("server_encoding")) != "UTF8":
        raise InputError(
            f"the database {info.dbname} at {info.host} has the encoding {encoding}, and has to have UTF8: "
            f"CREATE DATABASE {info.dbname} ENCODING 'UTF8' TEMPLATE template0"
        )


def bound_waits() -> dict[str, int]:
    """Returns libpq's own bounds: while a connection is made, and while what was sent is not acknowledged."""
    seconds = read_whole_timeout()
    return {"connect_timeout": seconds, "tcp_user_timeout": 1000 * seconds}


@cache
def bound_other_engines() -> None:
    """Bounds the connections to Postgres of engines that libraries make by themselves in this process."""
    event.listen(Engine, "do_connect", _connect)


def _connect(dialect: Any, record: object, arguments: Any, options: Any) -> Any:
    bounds = bound_waits()
    if dialect.driver != "psycopg" or dialect.is_async or bounds.keys() <= options.keys():
        return None  # no such connection, or bounded by whoever made it
    return connect_bounded(BUSY_SECONDS, dialect, record, arguments, bounds | options)


@cache
def require_database(variable: str, url: str) -> None:
    """Refuses a database that does not answer when it is first asked: MLflow would ask it again for minutes.

    Raises:
        InputError: the address has an option that Postgres does not know, or the database another encoding than UTF-8.
        AmunError: names the variable and the address, and says why.
    """
    parsed = make_url(url)
    address, bounds = parsed.set(drivername="postgresql"), dict[str, Any](bound_waits())
    try:
        with closing(psycopg.connect(address.render_as_string(hide_password=False), **bounds)) as connection:
            require_utf8(connection)
    except InputError as error:
        raise InputError(f"{variable}: {error}") from None
    except psycopg.ProgrammingError as error:
        raise InputError(f"{variable}: {parsed.render_as_string()}: {join_lines(error)}") from None
    except psycopg.OperationalError as error:
        said = join_lines(error)
        raise AmunError(f"{variable}: the database {parsed.render_as_string()} does not answer: {said}") from None
