"""Step *gate*: judges the attempt that `unlearn` made and `audit` measured."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import task

from amun.audit.decision import Decision, decide, read_bounds
from amun.audit.gate import contradicts_memory, judge_auc, judge_memory, judge_trace
from amun.audit.night import read_night
from amun.core.params import GateParams
from amun.core.paths import AUDIT_METRICS, DECISIONS, REPORT_METRICS, UNLEARN_EPOCHS, UNLEARN_METRICS
from amun.evidence.wave import read_wave, write_json
from amun.ledger import Claim
from tasks.steps.freeze import write_attempt
from tasks.steps.record import read_epochs, read_metrics
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
        read_metrics(root, UNLEARN_METRICS),
        read_night(root),
        read_metrics(root, AUDIT_METRICS),
        read_wave(root).yardstick,
        workspace.params.gate,
    )
    measured = {"calibration": read_metrics(root, AUDIT_METRICS), "epochs": read_epochs(root, UNLEARN_EPOCHS)}
    return keep_decision(workspace, number, decision, measured)


def keep_decision(
    workspace: Workspace, number: int, decision: Decision, measured: dict[str, Any] | None = None
) -> Decision:
    """Writes a decision beside the wave's earlier ones, in `wave/decisions.json`; returns it.

    Args:
        workspace: the workspace.
        number: of the attempt.
        decision: on it.
        measured: its figures on the calibration half and by epoch, which the next attempt overwrites; None where it
            came to nothing.
    """
    root = workspace.root
    kept = [made for made in read_decisions(root) if made["attempt"] < number]
    attempt = workspace.params.unlearning.attempts[number - 1].model_dump(mode="json", exclude_none=True)
    made = {"attempt": number, "method": attempt.pop("method"), "parameters": attempt, **asdict(decision)}
    write_json(root / DECISIONS, [*kept, made | (measured or {"calibration": None, "epochs": []})])
    return decision


def read_decisions(root: Path) -> list[dict[str, Any]]:
    """Returns the gate's decisions on the wave's attempts, in their order."""
    decisions: list[dict[str, Any]] = json.loads((root / DECISIONS).read_text(encoding="utf-8"))
    return decisions


def find_contradiction(root: Path, gate: GateParams) -> str:
    """Returns why the test half refutes an attempt that the gate has let pass; empty if it does not."""
    reported, unlearned = read_metrics(root, REPORT_METRICS), read_metrics(root, UNLEARN_METRICS)
    bounds = read_bounds(reported)
    if unlearned["is_exact"] or not contradicts_memory(bounds, gate.max_memory_left):
        return ""
    return f"on the test half {judge_memory(bounds, reported['memory_left'], gate.max_memory_left).reason}"


@task(name="overrule", **TASK_OPTIONS | {"task_run_name": "overrule attempt {number}"})
def overrule_attempt(workspace: Workspace, number: int, reason: str) -> None:
    """Turns the decision on an attempt into a refusal, for what the test half has shown."""
    refused = asdict(Decision(False, reason))
    decisions = read_decisions(workspace.root)
    write_json(
        workspace.root / DECISIONS,
        [made | refused if made["attempt"] == number else made for made in decisions],
    )


def check_report(root: Path, gate: GateParams) -> str:
    """Returns what to say where an alarm sounds on the test half; the wave completes all the same."""
    reported, unlearned = read_metrics(root, REPORT_METRICS), read_metrics(root, UNLEARN_METRICS)
    if unlearned["is_exact"]:
        return ""
    auc, trace, bound = reported["ft_auc"], reported["trace"], gate.max_trace
    alarms = []
    if auc is not None and not judge_auc(auc, reported["num_forget"], reported["num_test"], gate.auc_margin).passed:
        alarms.append(f"FT AUC {auc:.3f}")
    if trace is not None and bound is not None and not judge_trace(trace, bound).passed:
        alarms.append(f"trace {trace:.3f}")
    return f"the test half does not confirm the gate: {', '.join(alarms)} there" if alarms else ""
