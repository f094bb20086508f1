"""Step *gate*: judges the attempt that `unlearn` made and `audit` measured."""

from datetime import UTC, datetime

from prefect import task

from amun.audit.decision import Decision, decide
from amun.audit.night import read_night
from amun.core.paths import UNLEARN_EPOCHS
from amun.evidence.attempts import Epoch, Judged, read_decisions, read_epochs, write_decisions
from amun.evidence.figures import AuditFigures, UnlearnFigures, read_figures
from amun.evidence.wave import read_wave, write_attempt
from amun.ledger import Claim
from tasks.tools.options import TASK_OPTIONS
from tasks.workspace.workspace import Workspace, open_ledger


@task(name="attempt", **TASK_OPTIONS | {"task_run_name": "attempt {number}"})
def begin_attempt(workspace: Workspace, claim: Claim, number: int) -> None:
    """Writes which attempt the `unlearn` stage is to make."""
    with open_ledger() as ledger:
        ledger.set_attempt(claim, number, datetime.now(UTC))
    write_attempt(workspace.root, number)


@task(name="gate", **TASK_OPTIONS | {"task_run_name": "gate attempt {number}"})
def judge_attempt(workspace: Workspace, number: int) -> Decision:
    """Returns the gate's decision on the attempt at hand, and keeps it among the wave's files."""
    root = workspace.root
    decision = decide(
        read_figures(UnlearnFigures, root),
        read_night(root),
        read_figures(AuditFigures, root),
        read_wave(root).yardstick,
        workspace.params.gate,
    )
    return keep_decision(
        workspace, number, decision, read_figures(AuditFigures, root), read_epochs(root / UNLEARN_EPOCHS)
    )


def keep_decision(
    workspace: Workspace,
    number: int,
    decision: Decision,
    calibration: AuditFigures | None = None,
    epochs: tuple[Epoch, ...] = (),
) -> Decision:
    """Writes a decision beside the wave's earlier ones, in `wave/decisions.json`; returns it.

    Args:
        workspace: the workspace.
        number: of the attempt.
        decision: on it.
        calibration: its figures there, which the next attempt overwrites; None where it came to nothing.
        epochs: how its training went, likewise.
    """
    root, attempt = workspace.root, workspace.params.unlearning.attempts[number - 1]
    judged = Judged(
        attempt=number,
        method=attempt.method,
        parameters=attempt.model_dump(exclude={"method"}),
        passed=decision.passed,
        reason=decision.reason,
        warning=decision.warning,
        calibration=calibration,
        epochs=epochs,
    )
    kept = (made for made in read_decisions(root) if made.attempt < number)
    write_decisions(root, (*kept, judged))
    return decision


@task(name="overrule", **TASK_OPTIONS | {"task_run_name": "overrule attempt {number}"})
def overrule_attempt(workspace: Workspace, number: int, reason: str) -> None:
    """Turns the decision on an attempt into a refusal, for what was shown of it after the gate had let it pass."""
    refused = {"passed": False, "reason": reason, "warning": "", "overruled": True}
    decisions = read_decisions(workspace.root)
    write_decisions(
        workspace.root,
        tuple(made.model_copy(update=refused) if made.attempt == number else made for made in decisions),
    )
