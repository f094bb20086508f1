"""Opening, making and refusing a ledger."""

import os
import signal
import sqlite3
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy.exc import StatementError

from amun.core.errors import AmunError, InputError
from amun.core.network import TIMEOUT_VARIABLE
from amun.ledger import Ledger, database
from amun.ledger.schema import SCHEMA_VERSION, InfoRow
from tests.amun.ledger.conftest import MakeUrl, create_postgres_schema
from tests.amun.ledger.helpers import MODEL, build_base, claim_wave, run_together


def test_nobody_writes_while_writers_are_held(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with Ledger.create(f"sqlite:///{path}") as ledger, closing(sqlite3.connect(path, timeout=0)) as other:
        with ledger.hold_writers(), pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.execute("BEGIN IMMEDIATE")


def test_ledger_that_was_never_made_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no ledger at .*run `amun init`"):
        Ledger(url)
    assert list(tmp_path.iterdir()) == []


def test_file_of_another_program_is_no_ledger(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE other (id INTEGER)")
    with pytest.raises(InputError, match=f"no ledger at sqlite:///{path}; run `amun init`"):
        Ledger(f"sqlite:///{path}")


def test_file_that_is_no_database_is_a_failure_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database\n" * 100, encoding="ascii")
    for attempt in (Ledger, Ledger.create):
        with pytest.raises(AmunError, match=r"^the ledger sqlite:///.*: file is not a database$"):
            attempt(f"sqlite:///{path}")


def test_making_it_again_keeps_what_is_there(ledger: Ledger, url: str) -> None:
    build_base(ledger, ["ann"])
    with Ledger.create(url) as again:
        assert [wave.number for wave in again.list_waves(MODEL)] == [0]


@pytest.mark.parametrize("version", [1, 99])
def test_another_schema_version_is_refused(ledger: Ledger, url: str, version: int) -> None:
    with ledger._write() as session:
        session.get_one(InfoRow, 1).schema_version = version
    for attempt in (Ledger, Ledger.create):
        with pytest.raises(
            InputError, match=f"schema version {version}, this release needs {SCHEMA_VERSION}; use the release"
        ):
            attempt(url)


def test_several_processes_make_one_ledger(make_url_of_new: MakeUrl) -> None:
    for _ in range(2):
        url = make_url_of_new()
        assert sorted(run_together(_create, [(url, f"model-{number}") for number in range(4)])) == [0, 1, 2, 3]
        with Ledger(url) as ledger:
            assert [ledger.list_waves(f"model-{number}") for number in range(4)] == [[], [], [], []]


@pytest.mark.parametrize(
    "unfit", ["", "ledger.db", "sqlite://", "sqlite:///:memory:", "mysql://root:secret@localhost/x", "postgresql://h/x"]
)
def test_other_urls_are_refused(unfit: str) -> None:
    for attempt in (Ledger, Ledger.create):
        with pytest.raises(InputError, match=r"write sqlite:///PATH or postgresql\+psycopg://") as refusal:
            attempt(unfit)
        assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("attempt", [Ledger, Ledger.create])
def test_absent_server_is_a_failure_in_one_line_without_password(attempt: type[Ledger]) -> None:
    with pytest.raises(AmunError, match="does not answer") as failure:
        attempt("postgresql+psycopg://user:s3cret@127.0.0.1:1/ledger")
    assert not isinstance(failure.value, InputError)
    assert "\n" not in str(failure.value)
    assert "s3cret" not in str(failure.value)


@pytest.mark.timeout(60)
def test_server_that_hangs_is_waited_for_so_long_and_no_longer(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TIMEOUT_VARIABLE, "0.5")
    monkeypatch.setattr(database, "BUSY_SECONDS", 0)
    with Ledger.create(create_postgres_schema(postgres_url, "hanging")) as ledger:
        began = time.monotonic()
        with pytest.raises(AmunError, match=r"^the ledger .* no answer within 0\.5 seconds$"):
            _ask_hanging(ledger)
        assert time.monotonic() - began < 5
        # the next one asks on another connection
        ledger.register_model(MODEL)


def test_sqlite_lets_readers_go_on_and_keeps_what_it_said(tmp_path: Path) -> None:
    with Ledger.create(f"sqlite:///{tmp_path}/deep/ledger.db") as ledger, ledger._read() as session:
        settings = ["journal_mode", "foreign_keys", "synchronous"]
        found = [session.connection().exec_driver_sql(f"PRAGMA {setting}").scalar() for setting in settings]
    assert found == ["wal", 1, 2]


def test_reader_sees_one_state_while_another_writes(ledger: Ledger, url: str) -> None:
    ledger.register_model(MODEL)
    with Ledger(url) as other, other._read() as session:
        count = "SELECT count(*) FROM waves"
        before = session.connection().exec_driver_sql(count).scalar()
        claim_wave(ledger, "base")
        assert session.connection().exec_driver_sql(count).scalar() == before == 0


def test_times_without_zone_are_refused(ledger: Ledger) -> None:
    ledger.register_model(MODEL)
    with pytest.raises(StatementError, match="times with a zone only"):
        claim_wave(ledger, "base", now=datetime(2026, 1, 1))
    assert ledger.list_waves(MODEL) == []


def _ask_hanging(ledger: Ledger) -> None:
    """Asks a server's process that has stopped in the middle of a transaction."""
    with ledger._read() as session:
        ask = session.connection().exec_driver_sql
        process = ask("SELECT pg_backend_pid()").scalar_one()
        os.kill(process, signal.SIGSTOP)
        try:
            ask("SELECT 1")
        finally:
            os.kill(process, signal.SIGCONT)


def _create(url: str, model: str) -> int:
    with Ledger.create(url) as ledger:
        ledger.register_model(model)
    return int(model.removeprefix("model-"))
