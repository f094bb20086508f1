"""The table of fingerprints in a key store: each is sealed under a key of its own, which lies with all others."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from amun.core.databases import split_chunks
from amun.vault.database import MARK, KeyDatabase, Run, write_marks

# made with the first of them: key stores of earlier releases have none, and these releases go on with one that has it;
# the keys lie with all others, so that an earlier release puts them under a new KEK, too
_TABLE = (
    "CREATE TABLE IF NOT EXISTS fingerprint (name TEXT PRIMARY KEY, sealed BLOB NOT NULL, keep_until TEXT NOT NULL)"
)
Rows = dict[str, tuple[bytes, bytes]]  # wrapped keys, and what these seal, by name
_TIME = "%Y-%m-%dT%H:%M:%SZ"


def write_fingerprint(
    database: KeyDatabase, name: str, wrap: Callable[[str], bytes], sealed: bytes, until: datetime
) -> None:
    """Writes somebody's fingerprint in the place of the one that there may be.

    Args:
        database: in which it lies.
        name: of its key.
        wrap: makes the wrapped key, given the KEK's fingerprint, which stays what it is until then.
        sealed: the fingerprint under that key.
        until: when it is to be removed.
    """
    with database.write() as run:
        kek, _ = database.read_vault(run)
        run(database.translate(_TABLE))
        _remove(run, name)
        run("INSERT INTO subject_key (subject, wrapped) VALUES (?, ?)", name, wrap(kek))
        statement = "INSERT INTO fingerprint (name, sealed, keep_until) VALUES (?, ?, ?)"
        run(statement, name, sealed, until.astimezone(UTC).strftime(_TIME))


def read_fingerprints(database: KeyDatabase, names: Sequence[str]) -> tuple[str, Rows]:
    """Returns the fingerprint of the KEK, and the wrapped keys and sealed fingerprints of those who have one."""
    found: Rows = {}
    with database.read() as run:
        kek, _ = database.read_vault(run)
        for chunk in split_chunks(names):
            found |= _select_fingerprints(database, run, f"IN ({write_marks(chunk)})", *chunk)
    return kek, found


def read_fingerprints_of(database: KeyDatabase, kind: str) -> tuple[str, Rows]:
    """Returns the fingerprint of the KEK, and the wrapped keys and sealed fingerprints of a kind, by name."""
    with database.read() as run:
        kek, _ = database.read_vault(run)
        return kek, _select_fingerprints(database, run, "LIKE ?", f"{kind}{MARK}%")


def count_fingerprints(database: KeyDatabase, now: datetime) -> int:
    """Returns how many fingerprints there are whose time is over."""
    with database.read() as run:
        return len(_find_over(database, run, now))


def remove_fingerprints(database: KeyDatabase, now: datetime) -> int:
    """Removes the fingerprints whose time is over, with their keys; returns how many there were."""
    with database.write() as run:
        names = _find_over(database, run, now)
        for name in names:
            _remove(run, name)
        is_made = database.has_table(run, "fingerprint")
    for table in ("fingerprint", "subject_key") if is_made else ():
        database.overwrite(table)
    return len(names)


def _select_fingerprints(database: KeyDatabase, run: Run, condition: str, *values: str) -> Rows:
    if not database.has_table(run, "fingerprint"):
        return {}
    query = (
        "SELECT name, wrapped, sealed FROM fingerprint JOIN subject_key ON subject = name "  # noqa: S608
        f"WHERE name {condition}"
    )
    return {name: (bytes(wrapped), bytes(sealed)) for name, wrapped, sealed in run(query, *values)}


def _find_over(database: KeyDatabase, run: Run, now: datetime) -> list[str]:
    """Returns the names of the fingerprints whose time is over."""
    if not database.has_table(run, "fingerprint"):
        return []
    at = now.astimezone(UTC).strftime(_TIME)
    return [name for (name,) in run("SELECT name FROM fingerprint WHERE keep_until <= ?", at)]


def _remove(run: Run, name: str) -> None:
    for table, key in (("fingerprint", "name"), ("subject_key", "subject")):
        run(f"DELETE FROM {table} WHERE {key} = ?", name)  # noqa: S608
