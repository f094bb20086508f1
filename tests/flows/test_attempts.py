"""What follows where an attempt cannot be measured, or has passed the gate and remembers people of earlier waves."""

from pathlib import Path

import pytest

from amun.audit.decision import Decision
from amun.core.errors import AttemptError
from amun.core.params import AttemptParams
from amun.core.stage_result import StageResult
from amun.ledger import Claim
from flows import waves
from flows.waves import Attempts
from tasks.tools.dvc import StageRun
from tasks.workspace.workspace import Workspace
from tests.amun.shipped import PARAMS

APPROXIMATE = AttemptParams(method="never_seen", learning_rate=0.05)
BACK = "it brings people of earlier waves back"
REPORTED = StageRun("report", StageResult(0, "", 0.1))
CLAIM = Claim("digits", 2, "deletion", "token", resumed=False, attempt=None)


@pytest.mark.parametrize(
    ("attempts", "made", "decision"),
    [
        ((APPROXIMATE, APPROXIMATE, AttemptParams(method="retrain")), [1, 3], Decision(True, "attempt 3 passed")),
        ((APPROXIMATE, APPROXIMATE), [1], Decision(False, BACK)),
    ],
    ids=["exact retraining alone", "nothing: the wave is parked"],
)
def test_what_follows_a_model_that_brings_people_back(
    attempts: tuple[AttemptParams, ...], made: list[int], decision: Decision, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlearning = PARAMS.unlearning.model_copy(update={"attempts": attempts})
    workspace = Workspace(Path("/nowhere"), PARAMS.model_copy(update={"unlearning": unlearning}))
    numbers: list[int] = []
    overruled: list[tuple[int, str]] = []

    def make(_workspace: Workspace, _claim: Claim, number: int) -> Attempts:
        numbers.append(number)
        return Attempts(Decision(True, f"attempt {number} passed"), [])

    monkeypatch.setattr(waves, "_make_attempt", make)
    monkeypatch.setattr(waves, "reproduce_stage", lambda *_: REPORTED)
    monkeypatch.setattr(waves, "_read_report", lambda _workspace: ())
    monkeypatch.setattr(waves, "find_contradiction", lambda: "")
    # whoever never saw them brings nobody back
    monkeypatch.setattr(waves, "look_at_earlier", lambda _workspace, number: "" if number == 3 else BACK)
    monkeypatch.setattr(waves, "overrule_attempt", lambda _workspace, *refused: overruled.append(refused))
    attempted = waves._make_attempts(workspace, CLAIM, range(1, len(attempts) + 1))
    assert (numbers, attempted.decision) == (made, decision)
    assert overruled == [(1, BACK)]
    assert attempted.runs == [REPORTED] * len(made)


@pytest.mark.parametrize(("failing", "ran"), [("unlearn", []), ("audit", ["unlearn"])])
def test_an_attempt_that_cannot_be_made_or_measured_is_refused_and_the_wave_goes_on(
    failing: str, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(Path("/nowhere"), PARAMS)
    kept: list[tuple[int, Decision]] = []

    def reproduce(_workspace: Workspace, _claim: Claim, stage: str, *, attempt: int) -> StageRun:
        if stage == failing:
            raise AttemptError(f"{stage}: no numbers")
        return StageRun(stage, StageResult(0, "", 0.1), attempt)

    def keep(_workspace: Workspace, number: int, decision: Decision) -> Decision:
        kept.append((number, decision))
        return decision

    monkeypatch.setattr(waves, "begin_attempt", lambda *_: None)
    monkeypatch.setattr(waves, "reproduce_stage", reproduce)
    monkeypatch.setattr(waves, "keep_decision", keep)
    attempted = waves._make_attempt(workspace, CLAIM, 2)
    refused = Decision(False, f"{failing}: no numbers")
    assert (attempted.decision, kept) == (refused, [(2, refused)])
    assert [(run.stage, run.attempt) for run in attempted.runs] == [(stage, 2) for stage in ran]
