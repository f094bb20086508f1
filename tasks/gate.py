"""Step *gate*: judges the attempt that `unlearn` made and `audit` measured."""

from datetime import UTC, datetime

from prefect import task

from amun.audit.decision import Decision, decide
from amun.ledger import Claim
from amun.paths import AUDIT_METRICS, REPORT_METRICS, UNLEARN_METRICS
from amun.wave import read_wave
from tasks.freeze import write_attempt
from tasks.options import TASK_OPTIONS
from tasks.record import read_metrics
from tasks.workspace import Workspace, open_ledger


@task(name="attempt", task_run_name="attempt-{number}", **TASK_OPTIONS)
def begin_attempt(workspace: Workspace, claim: Claim, number: int) -> None:
    """Writes which attempt the `unlearn` stage is to make."""
    with open_ledger() as ledger:
        ledger.set_attempt(claim, number, datetime.now(UTC))
    write_attempt(workspace.root, number)


@task(name="gate", **TASK_OPTIONS)
def judge_attempt(workspace: Workspace) -> Decision:
    """Returns the gate's decision on the attempt at hand."""
    root = workspace.root
    return decide(
        read_metrics(root, UNLEARN_METRICS),
        read_metrics(root, AUDIT_METRICS),
        read_wave(root).yardstick,
        workspace.params.gate,
    )


def check_report(workspace: Workspace) -> str:
    """Returns what to say where the test half contradicts the gate; the wave completes all the same."""
    root = workspace.root
    reported, unlearned = read_metrics(root, REPORT_METRICS), read_metrics(root, UNLEARN_METRICS)
    if unlearned["is_exact"] or reported["agrees_with_gate"] is not False:
        return ""
    return f"the test half does not confirm the gate: FT AUC {reported['judged_ft_auc']:.3f} there"
