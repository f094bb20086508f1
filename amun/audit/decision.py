"""What the gate makes of an attempt, and which attempts a wave makes at all."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from amun.audit.gate import (
    Verdict,
    contradicts_memory,
    judge_accuracy,
    judge_auc,
    judge_memory,
    judge_overlooked,
    judge_spread,
    judge_trace,
)
from amun.audit.night import NightPower
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
    """What a wave does: the numbers of the attempts to make in turn, or why it waits.

    Attributes:
        attempts: none where the wave waits.
        wait_reason: why it waits; empty if it does not.
        reason: why it is retrained at once; empty if it is not.
    """

    attempts: tuple[int, ...]
    wait_reason: str = ""
    reason: str = ""


def count_references(logits: StoreShape) -> int:
    """Returns how many references there are, from the size of the file of their logits."""
    return logits.payload_shape[0] if logits.num_samples else 0


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
    insufficient: str,
    next_due: datetime | None,
    now: datetime,
) -> Plan:
    """Returns the attempts of a wave, or why it is parked until more requests have come.

    Args:
        unlearning: the attempts.
        gate: what a night does that cannot show forgetting.
        num_forget: training samples to forget.
        num_non_members: calibration samples still held.
        insufficient: why tonight's people cannot show that they are forgotten; empty if they can.
        next_due: when the first request of the queue is due.
        now: the time.
    """
    every = tuple(range(1, len(unlearning.attempts) + 1))
    if not num_forget:
        return Plan(every[:1])  # nothing to forget: the base is copied
    reason = insufficient or explain_traceless(num_forget, num_non_members, gate)
    if not reason or gate.insufficient == "pass_with_warning":
        return Plan(every)
    if gate.insufficient == "wait" and next_due is not None and now < next_due - timedelta(days=gate.wait_days):
        return Plan((), f"{reason}; it waits for more requests until {gate.wait_days} days before {next_due:%Y-%m-%d}")
    return Plan(list_exact(unlearning), reason=reason)


def list_exact(unlearning: UnlearningParams) -> tuple[int, ...]:
    """Returns the numbers of the attempts that retrain exactly; none where the remain set is not at hand."""
    attempts = enumerate(unlearning.attempts, start=1)
    return tuple(number for number, attempt in attempts if METHODS[attempt.method].is_exact)


def decide(
    unlearned: dict[str, Any], night: NightPower, audited: dict[str, Any], yardstick: float | None, gate: GateParams
) -> Decision:
    """Returns the gate's decision on an attempt.

    Args:
        unlearned: `metrics/unlearn.json`.
        night: `metrics/power.json`: whether tonight's people can show that they are forgotten.
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
        unshown = f"; {night.insufficient}" if night.insufficient else ""
        return Decision(True, f"exact by construction{unshown}", warning)
    if accuracy is None:
        return Decision(False, "too few calibration samples are held to measure accuracy")
    verdicts, unshown = _judge_figures(night, audited, gate)
    refusals = [verdict.reason for verdict in (accuracy, *verdicts) if not verdict.passed]
    if refusals:
        return Decision(False, "; ".join(refusals))
    if unshown:
        measured = _tell_measured(audited)
        return Decision(gate.insufficient == "pass_with_warning", f"{unshown}{measured}", f"{unshown}{measured}")
    return Decision(True, "; ".join(verdict.reason for verdict in verdicts))


def _judge_figures(night: NightPower, audited: dict[str, Any], gate: GateParams) -> tuple[list[Verdict], str]:
    """Returns what the bounds on forgetting and trace say, as far as they can, and why one cannot; empty if all can.

    The bound on memory left alone lets an attempt pass; the others can only refuse it.
    """
    unshown = night.insufficient
    verdicts = []
    bounds = read_bounds(audited)
    # too few people to pass may still be enough to refuse
    if not unshown or contradicts_memory(bounds, gate.max_memory_left):
        verdicts.append(judge_memory(bounds, audited["memory_left"], gate.max_memory_left))
    if audited["spread"] is not None:
        verdicts.append(judge_spread(audited["spread"], audited["max_spread"]))
        verdicts.append(judge_overlooked(audited["overlooked"], audited["max_overlooked"]))
    if audited["ft_auc"] is not None:
        verdicts.append(
            judge_auc(audited["ft_auc"], audited["num_forget"], audited["num_calibration"], gate.auc_margin)
        )
    if gate.max_trace is None:
        return verdicts, unshown
    if audited["trace"] is None:
        return verdicts, unshown or TRACELESS
    return [*verdicts, judge_trace(audited["trace"], gate.max_trace)], unshown


def _tell_measured(audited: dict[str, Any]) -> str:
    """Returns what was measured of memory left all the same, for whoever is warned; empty where nothing was."""
    bounds = read_bounds(audited)
    if bounds is None:
        return ""
    return f"; memory left {audited['memory_left']:.2f} [{bounds[0]:.2f}, {bounds[1]:.2f}]"


def read_bounds(figures: dict[str, Any]) -> tuple[float, float] | None:
    """Returns the bounds of memory left that a stage has measured; None where it could not bound it."""
    lower, upper = figures["memory_left_lower"], figures["memory_left_upper"]
    return None if lower is None or upper is None else (lower, upper)
