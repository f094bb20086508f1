"""What a night is expected to take, where the base's files are not at hand, as in a clone that has pulled none."""

import os
from pathlib import Path

import pytest

from amun.core.errors import InputError
from amun.core.paths import TRAIN
from amun.ledger import Ledger
from flows import planning
from flows.pages.plan_table import print_estimate
from tasks.tools.environment import LEDGER_VARIABLE
from tasks.workspace import preview
from tasks.workspace.workspace import Workspace
from tests.amun.shipped import PARAMS


def test_an_idle_night_is_told_and_what_brings_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(planning, "describe_present", lambda _: "no request is pending")
    estimate = planning.estimate_night(Workspace(tmp_path, PARAMS))
    print_estimate(estimate)
    told, missing = capsys.readouterr().out.splitlines()
    assert told == "no request is pending"
    assert missing == f"nothing is foreseen: {TRAIN} is not in {tmp_path}; `dvc checkout` or `dvc pull` brings it"


def test_whom_a_night_would_forget_is_not_told_without_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LEDGER_VARIABLE, f"sqlite:///{tmp_path / 'ledger.db'}")
    with Ledger.create(os.environ[LEDGER_VARIABLE]) as ledger:
        ledger.register_model(PARAMS.model.name)
    monkeypatch.setattr(preview, "read_line", lambda _: [])
    with pytest.raises(InputError, match=f"^{TRAIN} is not in .*`dvc pull` brings it$"):
        preview.preview_wave(Workspace(tmp_path, PARAMS))
