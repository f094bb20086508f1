"""A database on Postgres that hangs is not waited for without an end, whoever has made the engine."""

import os
import signal
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import OperationalError

from amun.core import postgres
from amun.core.errors import AmunError, InputError
from amun.core.network import TIMEOUT_VARIABLE
from amun.core.postgres import _connect, bound_other_engines, require_database
from amun.ledger import Ledger
from tasks.tools.environment import MLFLOW_VARIABLE, find_free_port
from tasks.tools.registry import open_registry
from tests.postgres import run_postgres, run_statements


@pytest.fixture(autouse=True)
def _unbound() -> Iterator[None]:
    """Has no engine of other tests bounded because of these ones."""
    bound_other_engines.cache_clear()
    yield
    bound_other_engines.cache_clear()
    if event.contains(Engine, "do_connect", _connect):
        event.remove(Engine, "do_connect", _connect)


@pytest.mark.timeout(60)
def test_engine_of_a_library_waits_so_long_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TIMEOUT_VARIABLE, "0.5")
    monkeypatch.setattr(postgres, "BUSY_SECONDS", 0)
    bound_other_engines()
    with run_postgres() as url, create_engine(url).connect() as connection:
        process = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        os.kill(process, signal.SIGSTOP)
        began = time.monotonic()
        try:
            with pytest.raises(OperationalError, match=r"no answer within 0\.5 seconds"):
                connection.exec_driver_sql("SELECT 1")
        finally:
            os.kill(process, signal.SIGCONT)
        assert time.monotonic() - began < 20


def test_registry_in_a_database_that_is_away_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MLFLOW_VARIABLE, f"postgresql+psycopg://ann:swordfish@127.0.0.1:{find_free_port()}/mlflow")
    with pytest.raises(AmunError, match=r"^MLFLOW_TRACKING_URI: the database .*ann:\*\*\*@.* refused") as refused:
        open_registry()
    assert "\n" not in str(refused.value)
    assert bound_other_engines.cache_info().currsize == 1, "what it makes engines for is bounded first"


def test_option_that_postgres_does_not_know_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MLFLOW_VARIABLE, "postgresql+psycopg://ann:swordfish@127.0.0.1/mlflow?speed=high")
    with pytest.raises(InputError, match=r"^MLFLOW_TRACKING_URI: postgresql.*ann:\*\*\*@.*speed") as refused:
        open_registry()
    assert "swordfish" not in str(refused.value)


def test_database_that_gives_text_back_as_bytes_is_refused() -> None:
    """Postgres makes its databases so where it was set up in the locale C, as in many containers."""
    with run_postgres() as url:
        run_statements(url, "CREATE DATABASE plain ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
        plain = make_url(url).set(database="plain").render_as_string(hide_password=False)
        told = "the database plain at .* has the encoding SQL_ASCII, and has to have UTF8: CREATE DATABASE plain ENC"
        with pytest.raises(InputError, match=f"^{told}"):
            Ledger.create(plain)
        with pytest.raises(InputError, match=f"^MLFLOW_TRACKING_URI: {told}"):
            require_database(MLFLOW_VARIABLE, plain)
        # as the refusal says
        run_statements(url, "DROP DATABASE plain", "CREATE DATABASE plain ENCODING 'UTF8' TEMPLATE template0")
        require_database.cache_clear()
        require_database(MLFLOW_VARIABLE, plain)
        Ledger.create(plain).close()
