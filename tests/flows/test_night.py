"""The end of a night: who became due while it erased is not what it should have done."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from amun.core.params import read_params
from flows.night import close_night
from tasks.workspace.scrubbing import Scrubbed
from tasks.workspace.workspace import Workspace
from tests.workspaces import ROOT


def test_a_night_answers_for_who_was_due_before_it_erased(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    erased_at: list[datetime] = []
    ended: dict[str, Any] = {}

    def erase(_: Workspace) -> list[str]:
        erased_at.append(datetime.now(UTC))
        return ["erased"]

    def end(_: Workspace, **given: Any) -> list[str]:
        ended.update(given)
        return ["warning"]

    monkeypatch.setattr("flows.night.erase_due", erase)
    monkeypatch.setattr("tasks.workspace.callbacks.send_callbacks", lambda: ["suite"])
    monkeypatch.setattr("tasks.workspace.alerting.end_night", end)
    told: list[str] = []
    close_night(Workspace(tmp_path, read_params(ROOT / "params.yaml")), told.append, has_failed=True, is_parked=True)
    assert told == ["erased", "suite", "warning"]
    assert ended.pop("due_at") <= erased_at[0]
    # what has failed may be a place that does not answer: nobody waits for it once more
    assert ended == {"has_failed": True, "is_parked": True, "scrubbed": None}
    close_night(Workspace(tmp_path, read_params(ROOT / "params.yaml")), told.append, has_failed=False)
    assert told[5].startswith("warning: cache and remotes were not scrubbed: "), "there are none"
    assert ended["scrubbed"] == Scrubbed((), (), (told[5].removeprefix("warning: "),))
