"""A served ledger with two people."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from amun.ledger import Ledger
from flows.api.opendsr import Processor
from tasks.tools.processor_key import find_processor_key
from tests.amun.ledger.helpers import build_base
from tests.api import Served, make_workspace, serve_api
from tests.processor import name_key

ORIGIN = "https://suite.example.org"


@pytest.fixture
def own_ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger whose model holds two people."""
    with Ledger.create(f"sqlite:///{tmp_path / 'ledger.db'}") as opened:
        build_base(opened, ["ann", "ben"])
        yield opened


def make_processor(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Processor:
    """Returns what a service is to privacy suites that know people by the ids of customers."""
    name_key(folder, monkeypatch)
    key = find_processor_key()
    assert key is not None
    return Processor(key, "controller_customer_id", (ORIGIN,))


@pytest.fixture
def suite(own_ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """The same, served to privacy suites, too."""
    with serve_api(make_workspace(), own_ledger, processor=make_processor(tmp_path, monkeypatch)) as opened:
        yield opened


@pytest.fixture
def served(own_ledger: Ledger) -> Iterator[Served]:
    """The same, served."""
    with serve_api(make_workspace(), own_ledger) as opened:
        yield opened
