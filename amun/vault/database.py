"""The database of a key store, SQLite or Postgres: how it is opened, and that nothing removed is left in its files."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from time import sleep
from typing import Any

from amun.core.databases import BUSY_SECONDS
from amun.core.errors import AmunError, InputError
from amun.core.locks import hold_lock
from amun.core.masking import mask_passwords

KEYS_VARIABLE = "AMUN_KEYS_URL"
SQLITE, POSTGRES = "sqlite:///", "postgresql+psycopg://"
# Between the kind of a key that is no person's and its digest. Keyed ids of people have none, and an earlier release
# on the same key store puts such keys under a new KEK as it does people's.
MARK = "/"
FORMAT = 1
_LOOK_SECONDS = 0.2  # between two looks whether another machine has ended its change of the KEK
Run = Callable[..., list[Any]]


class KeyDatabase:
    """A SQLite file, or a Postgres database that several machines share."""

    def __init__(self, url: str) -> None:
        """Names the key store; nothing is opened yet.

        Raises:
            InputError: the url is none of a SQLite file or a Postgres database.
        """
        self.name = mask_passwords(url)
        self._url = url
        self.path = Path(url.removeprefix(SQLITE)) if url.startswith(SQLITE) else None
        if not url.startswith((SQLITE, POSTGRES)) or url == SQLITE:
            raise InputError(f"{KEYS_VARIABLE}: {self.name!r} is no key store; write {SQLITE}/PATH or {POSTGRES}...")

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Lets one process at a time change the KEK, of all machines that share the key store.

        Raises:
            AmunError: the key store cannot be locked.
        """
        if self.path is None:
            with self.open() as run:
                while not run("SELECT pg_try_advisory_lock(hashtext('amun key-encryption key'))")[0][0]:
                    sleep(_LOOK_SECONDS)
                yield
            return
        with ExitStack() as held:
            try:
                held.enter_context(hold_lock(self.path.with_name(f"{self.path.name}.lock")))
            except OSError as error:
                raise AmunError(f"the key store {self.name} cannot be locked: {error.strerror}") from None
            yield

    def overwrite(self, table: str) -> None:
        """Leaves nothing of a table's removed rows in the files of a Postgres database; SQLite does so by itself."""
        if self.path is None:
            # Postgres keeps old versions of a row, and rewrites a table outside transactions alone. A killed call may
            # have got no further than this, so it is done where nothing was removed, too.
            with self.open() as run:
                run(f"VACUUM FULL {table}")

    def read_vault(self, run: Run) -> tuple[str, bytes]:
        """Returns the fingerprint of the KEK under which all keys lie, and the store's own key, wrapped.

        Raises:
            InputError: there is no key store, or a later release has made it.
        """
        if not self.has_table(run, "vault"):
            raise InputError(self._tell_missing())
        ((found, kek, own),) = run("SELECT format, kek, own FROM vault")
        if found != FORMAT:
            raise InputError(f"the key store {self.name} has format {found}, this release needs {FORMAT}")
        return kek, bytes(own)

    def has_table(self, run: Run, name: str) -> bool:
        """Tells whether the database has a table."""
        if self.path is not None:
            return bool(run("SELECT 1 FROM sqlite_master WHERE name = ?", name))
        return run("SELECT to_regclass(?)", name)[0][0] is not None

    def translate(self, statement: str) -> str:
        """Returns a statement with the names that the database gives to types."""
        return statement if self.path is not None else statement.replace("BLOB", "BYTEA")

    def _tell_missing(self) -> str:
        return (
            f"no key store at {self.name}: bring it from your backup, or name it in {KEYS_VARIABLE}; "
            "`amun keys create` makes one in a workspace that never had any"
        )

    @contextmanager
    def read(self) -> Iterator[Run]:
        """Gives what runs a statement; all that it reads is of one state of the store."""
        if self.path is not None and not self.path.exists():
            raise InputError(self._tell_missing())
        begin = "BEGIN" if self.path is not None else "BEGIN ISOLATION LEVEL REPEATABLE READ"
        with self.open(begin) as run:
            yield run

    @contextmanager
    def write(self) -> Iterator[Run]:
        """Gives what runs a statement, to one process at a time; it is kept only if the block succeeds."""
        with self.open("BEGIN IMMEDIATE" if self.path is not None else "BEGIN") as run:
            if self.path is None:
                run(f"SET LOCAL lock_timeout = '{BUSY_SECONDS}s'")
                run("SELECT pg_advisory_xact_lock(hashtext('amun vault'))")
            yield run

    @contextmanager
    def open(self, begin: str | None = None) -> Iterator[Run]:
        """Gives what runs a statement, in a transaction if one is begun."""
        try:
            connection = self._connect()
            try:
                run = partial(_run, connection, self.path is not None)
                if begin is not None:
                    run(begin)
                yield run
                if begin is not None:
                    run("COMMIT")
            finally:
                connection.close()
        except InputError:
            raise
        except Exception as error:
            if not isinstance(error, sqlite3.Error) and type(error).__module__.partition(".")[0] != "psycopg":
                raise
            primary = getattr(getattr(error, "diag", None), "message_primary", None)
            reason = " ".join(str(primary or error).split())
            raise AmunError(f"the key store {self.name} does not answer or refuses: {reason}") from None

    def _connect(self) -> Any:
        if self.path is None:
            # only here: SQLAlchemy and Postgres' driver take half a second to import
            from sqlalchemy import make_url

            from amun.core.postgres import bound_waits, connect_bounded

            url = make_url(self._url)
            named = url.translate_connect_args(username="user", database="dbname") | dict(url.query)
            return connect_bounded(BUSY_SECONDS, None, None, [], {**named, **bound_waits(), "autocommit": True})
        connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
        # What is deleted is overwritten, and no second file holds older pages. A rotation destroys the old KEK at once:
        # not even a power cut may bring back what it has replaced (EXTRA flushes the folder, too).
        for pragma in ("secure_delete = ON", "journal_mode = DELETE", "synchronous = EXTRA"):
            connection.execute(f"PRAGMA {pragma}")
        return connection


def write_marks(values: Sequence[object]) -> str:
    """Returns what stands for the values in a statement."""
    return ", ".join("?" * len(values))


def _run(connection: Any, is_sqlite: bool, statement: str, *values: object) -> list[Any]:
    cursor = connection.execute(statement if is_sqlite else statement.replace("?", "%s"), values)
    return [] if cursor.description is None else list(cursor.fetchall())
