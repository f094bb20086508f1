"""The ledger's connection: which database, one transaction for each call, errors in one line."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Self

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError
from sqlalchemy.orm import Session

from amun.core.databases import BUSY_SECONDS
from amun.core.errors import AmunError, InputError
from amun.core.masking import mask_passwords
from amun.ledger.columns import Base
from amun.ledger.migrations import MIGRATIONS
from amun.ledger.schema import SCHEMA_VERSION, InfoRow

WRITER_LOCK = 0x616D756E  # "amun": the key of the advisory lock that lets one writer in at a time on Postgres


class Database:
    """Opens a ledger; every public method of its subclasses is one transaction."""

    def __init__(self, url: str):
        """Opens the ledger at a SQLAlchemy url, and brings it up to date where an earlier release has made it.

        Args:
            url: `sqlite:///PATH` or `postgresql+psycopg://USER:PASSWORD@HOST/DATABASE`.

        Raises:
            InputError: the url is none of these, nothing is there, or it is of a schema version that is not known.
            AmunError: the database does not answer.
        """
        self._connect(url)
        if self._path is not None and not self._path.exists():
            raise InputError(f"no ledger at {self.name}; run `amun init`, or name the ledger in AMUN_LEDGER_URL")
        try:
            self._check_version()
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(cls, url: str) -> Self:
        """Returns the ledger at `url`, its schema made where it is not there yet; safe when several do it at once.

        Raises:
            InputError: as when opening.
            AmunError: the database does not answer or may not be written.
        """
        blank = cls.__new__(cls)
        blank._connect(url)
        try:
            blank._make_schema()
        finally:
            blank.close()
        return cls(url)

    def close(self) -> None:
        """Gives back all connections."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _read(self) -> Iterator[Session]:
        """Yields a session that sees one state of the ledger throughout."""
        with self._translate_errors(), Session(self._reader) as session, session.begin():
            yield session

    @contextmanager
    def _write(self) -> Iterator[Session]:
        """Yields the only session that may write, and commits it: what it has read stays true until then."""
        with self._translate_errors(), Session(self._writer) as session, session.begin():
            yield session

    @contextmanager
    def hold_writers(self) -> Iterator[None]:
        """Lets nobody write meanwhile: no wave, request or erasure gets any further."""
        with self._write() as session:
            session.connection()  # which begins it: it would begin with the first statement
            yield

    def _connect(self, url: str) -> None:
        try:
            parsed = make_url(url)
        except ArgumentError:
            raise InputError("the ledger's url is not one; write sqlite:///PATH or postgresql+psycopg://...") from None
        self.name = mask_passwords(parsed.render_as_string(hide_password=True))
        self._password = str(parsed.password or "")
        self._path: Path | None = None
        match parsed.drivername:
            case "sqlite" if parsed.database and parsed.database != ":memory:":
                self._path = Path(parsed.database)
                self._engine = create_engine(parsed, json_serializer=_serialise, hide_parameters=True)
                event.listen(self._engine, "connect", _set_up_sqlite)
                self._reader = self._engine
            case "postgresql+psycopg":
                # only here: its driver takes a tenth of a second to import
                from amun.core.postgres import bound_waits, connect_utf8

                self._engine = create_engine(
                    parsed,
                    json_serializer=_serialise,
                    hide_parameters=True,  # they name people, and errors end in logs
                    pool_pre_ping=True,
                    connect_args=bound_waits(),
                )
                event.listen(self._engine, "do_connect", partial(connect_utf8, BUSY_SECONDS))
                self._reader = self._engine.execution_options(isolation_level="REPEATABLE READ")
            case _:
                raise InputError(
                    f"{self.name}: a ledger is a SQLite file or a Postgres database; "
                    "write sqlite:///PATH or postgresql+psycopg://..."
                )
        self._writer: Engine = self._engine.execution_options(is_writer=True)
        event.listen(self._engine, "begin", _begin)

    def _make_schema(self) -> None:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._translate_errors():
                self._set_write_ahead()
        with self._write() as session:
            if inspect(session.connection()).has_table(InfoRow.__tablename__):
                return
            Base.metadata.create_all(session.connection())
            session.add(InfoRow(id=1, schema_version=SCHEMA_VERSION, next_request=1))

    def _set_write_ahead(self) -> None:
        """Lets readers go on while one writes; a property of the file.

        SQLite does not wait by itself when another process does the same to a new file.
        """
        deadline = monotonic() + BUSY_SECONDS
        while True:
            try:
                with closing(sqlite3.connect(str(self._path))) as connection:
                    connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or monotonic() > deadline:
                    raise
                sleep(0.05)

    def _check_version(self) -> None:
        with self._read() as session:
            if not inspect(session.connection()).has_table(InfoRow.__tablename__):
                raise InputError(f"no ledger at {self.name}; run `amun init`, or name the ledger in AMUN_LEDGER_URL")
            version = session.get_one(InfoRow, 1).schema_version
        if version in MIGRATIONS:
            version = self._migrate()
        if version != SCHEMA_VERSION:
            raise InputError(
                f"the ledger {self.name} has schema version {version}, this release needs {SCHEMA_VERSION}; "
                "use the release that wrote it"
            )

    def _migrate(self) -> int:
        """Takes the steps from the ledger's schema version to the latest, all or none, and returns where it is then."""
        with self._write() as session:
            info = session.get_one(InfoRow, 1)
            while step := MIGRATIONS.get(info.schema_version):
                step(session.connection())
                info.schema_version += 1
            return info.schema_version

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except (DatabaseError, sqlite3.Error) as error:
            original = getattr(error, "orig", error)
            # Postgres adds a detail line that quotes the row
            primary = getattr(getattr(original, "diag", None), "message_primary", None)
            reason = " ".join(str(primary or original).split())
            shown = reason.replace(self._password, "***") if self._password else reason
            raise AmunError(f"the ledger {self.name} does not answer or refuses: {shown}") from None


# NaN is no JSON: SQLite would keep it, Postgres would not
_serialise = partial(json.dumps, ensure_ascii=False, allow_nan=False)


def _set_up_sqlite(connection: Any, _: object) -> None:
    # the driver would otherwise begin transactions by itself, and too late
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    # SQLite's own knows the letters of ASCII alone: a search for "zoë" is to find "ZOË"
    connection.create_function("lower", 1, _lower, deterministic=True)


def _lower(value: str | None) -> str | None:
    return value if value is None else value.lower()


def _begin(connection: Connection) -> None:
    """Lets one writer in at a time from its first statement on, so that none decides on what another is changing."""
    is_writer = connection.get_execution_options().get("is_writer", False)
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writer else "BEGIN")
    elif is_writer:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{BUSY_SECONDS}s'")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})")
