"""SQLite files as they are copied and moved: whole, while others write to them."""

import sqlite3
from contextlib import closing
from pathlib import Path

from amun.core.errors import AmunError

LOCK_SECONDS = 10.0  # far less than those who wait for the ledger meanwhile have patience for
# where MLflow's tables name files, each by its whole address
_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def copy_database(database: Path, copy: Path, lock_seconds: float = LOCK_SECONDS) -> None:
    """Copies a database as it is at one moment, by SQLite's own means, also while others write to it.

    Args:
        database: which.
        copy: a new file.
        lock_seconds: how long another program may keep it locked.

    Raises:
        AmunError: it cannot be read, or stays locked.
    """

    def require_unlocked(status: int, *_: int) -> None:
        # by itself it would wait without end
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise sqlite3.OperationalError("another program keeps it locked")

    # `rw`: what a killed program has left half-written is taken back first, and that is a write
    address = f"{database.absolute().as_uri()}?mode=rw"
    try:
        with (
            closing(sqlite3.connect(address, uri=True, timeout=lock_seconds)) as read,
            closing(sqlite3.connect(copy)) as written,
        ):
            read.backup(written, progress=require_unlocked)
    except sqlite3.Error as error:
        raise AmunError(f"{database} cannot be copied: {error}") from None


def require_sound(copy: Path, database: Path) -> None:
    """Looks a copy of a database through.

    Raises:
        AmunError: the database that it was made of is damaged.
    """
    try:
        with closing(sqlite3.connect(copy)) as connection:
            ((found,),) = connection.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.Error as error:
        found = error
    if found != "ok":
        raise AmunError(f"{database} is damaged: {' '.join(str(found).split())}; bring it back from your last backup")


def move_addresses(database: Path, before: Path, now: Path) -> None:
    """Makes MLflow's database name the files of its runs in another folder.

    Raises:
        AmunError: it is of another MLflow.
    """
    old, new = f"{before.as_uri()}/", f"{now.as_uri()}/"
    try:
        with closing(sqlite3.connect(database)) as connection, connection:
            for table, column in _ADDRESSES:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",  # noqa: S608
                    (new, len(old) + 1, len(old), old),
                )
    except sqlite3.Error as error:
        raise AmunError(f"MLflow's database is of another release than this one's: {error}") from None
