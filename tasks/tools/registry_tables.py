"""MLflow's own database, read without MLflow: importing that takes longer than all else that a short command does.

Only a SQLite file is read so, as every workspace has one by default; a server is asked by MLflow's client. The tables
are those of the pinned MLflow. Another's raise `sqlite3.Error`, and its own client is asked then.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from amun.vault.database import SQLITE

VERSIONS = """
    SELECT version, run_id, creation_time FROM model_versions
    WHERE workspace = 'default' AND name = ? AND current_stage != 'Deleted_Internal' ORDER BY version
"""
TAGS = "SELECT version, key, value FROM model_version_tags WHERE workspace = 'default' AND name = ?"
ALIASES = "SELECT version, alias FROM registered_model_aliases WHERE workspace = 'default' AND name = ? ORDER BY alias"

CHAMPION = "champion"  # the alias of the version that serves


@dataclass(frozen=True)
class RegisteredVersion:
    """A version in the registry, whoever has registered it.

    Attributes:
        number: the registry's.
        run_id: the MLflow run that holds its files; None where no run has made it.
        registered_at: when.
        tags: as MLflow holds them.
        aliases: the names that it has, in order.
    """

    number: int
    run_id: str | None
    registered_at: datetime
    tags: Mapping[str, str]
    aliases: tuple[str, ...]


def find_database(address: str) -> Path | None:
    """Returns the SQLite file that an address of MLflow names; None for any other database, and for a server."""
    return Path(address.removeprefix(SQLITE)) if address.startswith(SQLITE) and "?" not in address else None


def read_versions(database: Path, model: str) -> list[RegisteredVersion]:
    """Returns all versions of a model by number; none where there is no such file yet.

    Raises:
        sqlite3.Error: the file cannot be read, or is of another MLflow.
    """
    if not database.exists():
        return []
    tags: dict[int, dict[str, str]] = defaultdict(dict)
    aliases: dict[int, tuple[str, ...]] = defaultdict(tuple)
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        # one transaction: an alias that moves meanwhile is not seen twice
        connection.execute("BEGIN")
        found = connection.execute(VERSIONS, (model,)).fetchall()
        for number, key, value in connection.execute(TAGS, (model,)):
            tags[number][key] = value
        for number, alias in connection.execute(ALIASES, (model,)):
            aliases[number] += (alias,)
    return [
        RegisteredVersion(
            number, run_id or None, datetime.fromtimestamp(created / 1000, UTC), tags[number], aliases[number]
        )
        for number, run_id, created in found
    ]
