"""A database is copied as it is at one moment, and MLflow's goes on in another folder."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from amun.core.errors import AmunError
from tasks.tools.sqlite_files import copy_database, move_addresses, require_sound


def test_copy_has_what_is_committed_and_nothing_else(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE t (n INTEGER)")
        writer.execute("INSERT INTO t VALUES (1)")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO t VALUES (2)")
        copy_database(tmp_path / "a.db", tmp_path / "b.db")
    assert not list(tmp_path.glob("b.db?*")), "it is one file"
    with closing(sqlite3.connect(tmp_path / "b.db")) as copy:
        assert copy.execute("SELECT n FROM t").fetchall() == [(1,)]
        assert copy.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("content", [b"no database at all" * 100, None])
def test_damaged_or_missing_database_is_one_line(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "a.db").write_bytes(content)
    with pytest.raises(AmunError, match=r"a\.db cannot be copied: [^\n]+$"):
        copy_database(tmp_path / "a.db", tmp_path / "b.db")


def test_page_that_is_damaged_is_found(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db")) as made, made:
        made.execute("CREATE TABLE t (n TEXT)")
        made.executemany("INSERT INTO t VALUES (?)", [("x" * 400,)] * 200)
    content = bytearray((tmp_path / "a.db").read_bytes())
    content[8192:8292] = bytes(100)
    (tmp_path / "a.db").write_bytes(content)
    copy_database(tmp_path / "a.db", tmp_path / "b.db")
    with pytest.raises(AmunError, match=r"a\.db is damaged: [^\n]+$"):
        require_sound(tmp_path / "b.db", tmp_path / "a.db")


def test_database_that_a_killed_program_was_writing_to_is_as_before(tmp_path: Path) -> None:
    database, journal = tmp_path / "a.db", tmp_path / "a.db-journal"
    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute("PRAGMA cache_size = 1")
        writer.execute("CREATE TABLE t (n TEXT)")
        writer.execute("BEGIN")
        writer.execute("INSERT INTO t VALUES ('before')")
        writer.execute("COMMIT")
        writer.execute("BEGIN")
        writer.execute("UPDATE t SET n = 'after'")
        writer.executemany("INSERT INTO t VALUES (?)", [("x" * 400,)] * 200)
        (tmp_path / "killed.db").write_bytes(database.read_bytes())
        (tmp_path / "killed.db-journal").write_bytes(journal.read_bytes())
    copy_database(tmp_path / "killed.db", tmp_path / "b.db")
    require_sound(tmp_path / "b.db", tmp_path / "killed.db")
    with closing(sqlite3.connect(tmp_path / "b.db")) as copy:
        assert copy.execute("SELECT n FROM t").fetchall() == [("before",)]


def test_database_that_stays_locked_is_one_line(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as writer:
        writer.execute("CREATE TABLE t (n INTEGER)")
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(AmunError, match=r"a\.db cannot be copied: another program keeps it locked$"):
            copy_database(tmp_path / "a.db", tmp_path / "b.db", lock_seconds=0.01)


def test_addresses_move_and_those_elsewhere_stay(tmp_path: Path) -> None:
    before, now = Path("/var/lib/a b/.amun/mlartifacts"), Path("/srv/ä/.amun/mlartifacts")
    other = "file:///var/lib/a%20b/.amun/mlartifacts-old/1"
    with closing(sqlite3.connect(tmp_path / "m.db")) as made, made:
        made.execute("CREATE TABLE experiments (artifact_location TEXT)")
        made.execute("CREATE TABLE runs (artifact_uri TEXT)")
        made.execute("CREATE TABLE logged_models (artifact_location TEXT)")
        made.execute("CREATE TABLE model_versions (source TEXT, storage_location TEXT)")
        made.execute("INSERT INTO runs VALUES (?), (?)", (f"{before.as_uri()}/m/1", other))
        made.execute("INSERT INTO model_versions VALUES ('models:/m-1', ?)", (f"{before.as_uri()}/m",))
    move_addresses(tmp_path / "m.db", before, now)
    with closing(sqlite3.connect(tmp_path / "m.db")) as moved:
        assert moved.execute("SELECT artifact_uri FROM runs").fetchall() == [(f"{now.as_uri()}/m/1",), (other,)]
        assert moved.execute("SELECT * FROM model_versions").fetchall() == [("models:/m-1", f"{now.as_uri()}/m")]
    with closing(sqlite3.connect(tmp_path / "m.db")) as changed, changed:
        changed.execute("DROP TABLE runs")
    with pytest.raises(AmunError, match="another release"):
        move_addresses(tmp_path / "m.db", before, now)
