"""All models of a ledger as people read them: a row for each, and the exit code of whoever is late."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer

from amun.ledger import Ledger
from flows.cli import shared
from flows.cli.fleet import show_status
from flows.pages.fleet_table import print_standings
from tests.amun.ledger.helpers import build_base

LONG_AGO = datetime(2020, 1, 31, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """The ledger of two models that hold the same person, where the command looks."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    ledger = Ledger.create(url)
    for model in ("cats", "dogs"):
        build_base(ledger, ["ann"], model)
    monkeypatch.setattr(shared, "open_here", lambda: None)
    monkeypatch.setattr(shared, "open_ledger", lambda: Ledger(url))
    return ledger


@pytest.mark.usefixtures("ledger")
def test_each_model_has_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    show_status()
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["model", "last", "wave"]
    assert first.startswith("cats")
    assert second.startswith("dogs")
    assert "0, complete" in first


def test_exit_code_and_json_tell_who_is_late(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    ledger.add_requests(["ann"], received_at=LONG_AGO, now=datetime.now(UTC))
    with pytest.raises(typer.Exit):
        show_status(as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert [(one["model"], one["status"]["overdue"], one["num_behind"]) for one in shown] == [
        ("cats", 1, 0),
        ("dogs", 1, 0),
    ]
    print_standings(ledger.list_standings(datetime.now(UTC)))
    assert "2020-02-29" in capsys.readouterr().out
