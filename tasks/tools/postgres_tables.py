"""All rows of a Postgres database, through SQL: the server's files, with rows that it has removed, lie elsewhere."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, cast

from amun.core.errors import AmunError, join_lines
from amun.core.masking import mask_passwords

_TABLES = (
    "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_class c"
    " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm')"
    " AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema' ORDER BY 1"
)


def list_tables(url: str) -> list[str]:
    """Returns the tables of a database, quoted, each with its schema.

    Raises:
        AmunError: the database does not answer.
    """
    with _connect(url) as connection:
        return [name for (name,) in connection.execute(_TABLES.replace("%%", "%")).fetchall()]


@contextmanager
def open_table(url: str, table: str) -> Iterator[IO[bytes]]:
    """Opens a table's rows as a stream, each value as the database has it; reading raises OSError where it refuses."""
    with _connect(url) as connection, connection.cursor() as cursor:
        try:
            # a table's name, which the database itself has quoted
            with cursor.copy(f"COPY (SELECT * FROM {table}) TO STDOUT (FORMAT binary)") as copy:  # noqa: S608
                yield cast(IO[bytes], _Rows(copy))
        except Exception as error:
            if type(error).__module__.partition(".")[0] != "psycopg":
                raise
            raise OSError(join_lines(error)) from None


class _Rows(io.RawIOBase):
    """What a COPY sends, as a stream."""

    def __init__(self, copy: Any) -> None:
        self._copy = copy
        self._left = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while not self._left and (block := self._copy.read()):
            self._left = bytes(block)
        end = len(self._left) if size < 0 else size
        content, self._left = self._left[:end], self._left[end:]
        return content


@contextmanager
def _connect(url: str) -> Iterator[Any]:
    import psycopg
    from sqlalchemy import make_url

    from amun.core.databases import BUSY_SECONDS
    from amun.core.postgres import bound_waits, connect_bounded

    parsed = make_url(url)
    named = parsed.translate_connect_args(username="user", database="dbname") | dict(parsed.query)
    try:
        connection = connect_bounded(BUSY_SECONDS, None, None, [], {**named, **bound_waits(), "autocommit": True})
    except psycopg.Error as error:
        raise AmunError(f"the database {mask_passwords(url)} does not answer: {join_lines(error)}") from None
    try:
        yield connection
    finally:
        connection.close()
