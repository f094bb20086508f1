"""SQLite files as they are copied and moved: whole, while others write to them."""

import sqlite3
from contextlib import closing
from pathlib import Path

from amun.core.databases import BUSY_SECONDS
from amun.core.errors import AmunError

# where MLflow's tables name files, each by its whole address
_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def copy_database(database: Path, copy: Path) -> None:
    """Copies a database as it is at one moment, by SQLite's own means: whoever writes to it is not disturbed.

    Raises:
        AmunError: it cannot be read, or is damaged.
    """
    try:
        with (
            closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)) as read,
            closing(sqlite3.connect(copy)) as written,
        ):
            read.backup(written)
            ((found,),) = written.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.Error as error:
        raise AmunError(f"{database} cannot be copied: {error}") from None
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
