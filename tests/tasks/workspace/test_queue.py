"""A workspace's bounds reach each claim, and what they leave is told."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from amun.core.keys import create_secret
from amun.ledger import Claim, Ledger
from tasks.steps.lease import hold_wave
from tasks.tools.environment import LEDGER_VARIABLE
from tasks.views.rollback_plan import Plan, write_intent
from tasks.workspace.queue import describe_left
from tasks.workspace.workspace import Workspace
from tests.amun.ledger.helpers import MODEL, add, build_base, claim_wave, complete_wave
from tests.amun.shipped import PARAMS

NOW = datetime.now(UTC)


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """A ledger in which wave 1 has forgotten ann, and bob's request is older than cat's and dan's."""
    monkeypatch.setenv(LEDGER_VARIABLE, f"sqlite:///{tmp_path / 'ledger.db'}")
    with Ledger.create(f"sqlite:///{tmp_path / 'ledger.db'}") as opened:
        build_base(opened, ["ann", "bob", "cat", "dan"])
        add(opened, "ann", now=NOW)
        complete_wave(opened, claim_wave(opened, now=NOW), "8", now=NOW)
        add(opened, "cat", "dan", now=NOW)
        opened.add_requests(["bob"], received_at=NOW - timedelta(days=9), now=NOW)
        yield opened


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    create_secret(tmp_path)
    wave = PARAMS.wave.model_copy(update={"max_requests": 2})
    return Workspace(tmp_path, PARAMS.model_copy(update={"wave": wave}))


def test_a_claim_is_bounded_and_the_rest_is_told(workspace: Workspace, ledger: Ledger) -> None:
    left = "1 request waits for a later night, as `wave` in params.yaml bounds one"
    assert describe_left(workspace, is_open=False) == left
    with hold_wave(workspace, "deletion") as claim:
        assert isinstance(claim, Claim)
        assert ledger.subjects_of_wave(MODEL, 2) == ["cat", "bob"]
        assert describe_left(workspace, is_open=True) == left
        assert describe_left(Workspace(workspace.root, PARAMS), is_open=True) == ""
        complete_wave(ledger, claim, "9", now=NOW)
    assert describe_left(workspace, is_open=False) == ""


def test_the_wave_of_a_rollback_is_bounded(workspace: Workspace, ledger: Ledger) -> None:
    write_intent(workspace, Plan(MODEL, 8, 7, [1], 1, []), "it confuses 3 and 8")
    assert ledger.subjects_of_wave(MODEL, 2) == ["cat", "bob"]
    assert describe_left(workspace, is_open=True).startswith("1 request waits")
