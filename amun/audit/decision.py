"""What the gate makes of an attempt, and which attempts a wave makes at all."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from amun.audit.gate import Verdict, is_sufficient, judge_accuracy, judge_forgetting, judge_trace, shows_memory
from amun.data.store import StoreShape
from amun.params import GateParams, UnlearningParams
from amun.unlearning.methods import METHODS
from amun.wave import MIN_REPORTED

TRACELESS = "too few adversarial examples to measure the trace that gate.max_trace bounds"


@dataclass(frozen=True)
class Decision:
    """Whether an attempt passes.

    Attributes:
        passed: it does.
        reason: why, in one line.
        warning: what a person should look at all the same; empty if nothing.
    """

    passed: bool
    reason: str
    warning: str = ""


@dataclass(frozen=True)
class Plan:
    """What a wave does: the numbers of the attempts to make in turn, or why it waits."""

    attempts: tuple[int, ...]
    wait_reason: str = ""


def count_references(logits: StoreShape) -> int:
    """Returns how many references there are, from the size of the file of their logits."""
    return logits.payload_shape[0] if logits.num_samples else 0


def explain_insufficient(num_forget: int, num_non_members: int, num_references: int, gate: GateParams) -> str:
    """Returns why tonight's samples cannot show that they are forgotten; empty if they can.

    Only tonight's own count: people forgotten earlier say nothing of what tonight's attempt has done.
    """
    if not num_references:
        return "without audit references (references.num_audit) it cannot be shown that they are forgotten"
    if num_forget >= MIN_REPORTED and is_sufficient(num_forget, num_non_members, gate.auc_margin):
        return ""
    return f"{num_forget} samples are too few to show that they are forgotten"


def explain_traceless(num_forget: int, num_non_members: int, gate: GateParams) -> str:
    """Returns why there will be no trace for the gate to judge; empty if there will, or none is asked for."""
    is_measured = min(num_forget, num_non_members) >= MIN_REPORTED
    return "" if gate.max_trace is None or is_measured else TRACELESS


def plan_attempts(
    unlearning: UnlearningParams,
    gate: GateParams,
    *,
    num_forget: int,
    num_non_members: int,
    num_references: int,
    next_due: datetime | None,
    now: datetime,
) -> Plan:
    """Returns the attempts of a wave, or why it is parked until more requests have come."""
    every = tuple(range(1, len(unlearning.attempts) + 1))
    if not num_forget:
        return Plan(every[:1])  # nothing to forget: the base is copied
    insufficient = explain_insufficient(num_forget, num_non_members, num_references, gate) or explain_traceless(
        num_forget, num_non_members, gate
    )
    if not insufficient or gate.insufficient == "pass_with_warning":
        return Plan(every)
    if gate.insufficient == "wait" and next_due is not None and now < next_due - timedelta(days=gate.wait_days):
        return Plan(
            (), f"{insufficient}; it waits for more requests until {gate.wait_days} days before {next_due:%Y-%m-%d}"
        )
    exact = tuple(number for number in every if METHODS[unlearning.attempts[number - 1].method].is_exact)
    return Plan(exact)


def decide(unlearned: dict[str, Any], audited: dict[str, Any], yardstick: float | None, gate: GateParams) -> Decision:
    """Returns the gate's decision on an attempt.

    Args:
        unlearned: `metrics/unlearn.json`.
        audited: `metrics/audit.json`, on the calibration half.
        yardstick: accuracy of the last exactly trained version there; None where this one is it.
        gate: the bounds.
    """
    if not audited["num_forget"]:
        return Decision(True, "nothing was trained on that is to be forgotten")
    accuracy = None
    if yardstick is not None and audited["accuracy"] is not None:
        accuracy = judge_accuracy(audited["accuracy"], yardstick, gate.max_accuracy_drop)
    if unlearned["is_exact"]:
        warning = "" if accuracy is None or accuracy.passed else f"{accuracy.reason}; it is the new yardstick"
        return Decision(True, "exact by construction", warning)
    if accuracy is None:
        return Decision(False, "too few calibration samples are held to measure accuracy")
    if not accuracy.passed:
        return Decision(False, accuracy.reason)
    verdicts, unshown = _judge_figures(audited, gate)
    for verdict in verdicts:
        if not verdict.passed:
            return Decision(False, verdict.reason)
    if unshown:
        return Decision(gate.insufficient == "pass_with_warning", unshown, unshown)
    return Decision(True, "; ".join(verdict.reason for verdict in verdicts))


def _judge_figures(audited: dict[str, Any], gate: GateParams) -> tuple[list[Verdict], str]:
    """Returns what the bounds on forgetting and trace say, as far as they can, and why one cannot; empty if all can."""
    num_forget, num_non_members = audited["num_forget"], audited["num_calibration"]
    verdicts, auc = [], audited["ft_auc"]
    unshown = explain_insufficient(num_forget, num_non_members, audited["num_references"], gate)
    # too few samples to pass may still be enough to refuse
    if not unshown or (auc is not None and shows_memory(auc, num_forget, num_non_members, gate.auc_margin)):
        verdicts.append(judge_forgetting(auc, num_forget, num_non_members, gate.auc_margin))
    if gate.max_trace is None:
        return verdicts, unshown
    if audited["trace"] is None:
        return verdicts, unshown or TRACELESS
    return [*verdicts, judge_trace(audited["trace"], gate.max_trace)], unshown
