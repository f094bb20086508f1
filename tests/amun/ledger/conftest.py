"""An empty ledger on SQLite and on a real Postgres server."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import make_url

from amun.ledger import Ledger
from tests.postgres import run_postgres, run_statements

MakeUrl = Callable[[], str]
SCHEMA_NUMBERS = count()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The url of a server of its own."""
    with run_postgres() as url:
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
