"""A served ledger with two people."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from amun.ledger import Ledger
from tests.amun.ledger.helpers import build_base
from tests.api import Served, make_workspace, serve_api


@pytest.fixture
def own_ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger whose model holds two people."""
    with Ledger.create(f"sqlite:///{tmp_path / 'ledger.db'}") as opened:
        build_base(opened, ["ann", "ben"])
        yield opened


@pytest.fixture
def served(own_ledger: Ledger) -> Iterator[Served]:
    """The same, served."""
    with serve_api(make_workspace(), own_ledger) as opened:
        yield opened
