"""What the gate makes of an attempt, and which attempts a wave makes at all."""

from dataclasses import dataclass
from datetime import datetime

from amun.audit.gate import (
    Verdict,
    contradicts_memory,
    judge_accuracy,
    judge_apart,
    judge_auc,
    judge_memory,
    judge_overlooked,
    judge_seen_trace,
    judge_spread,
    judge_trace,
    judge_trace_by_person,
    judge_weights,
)
from amun.audit.night import NightPower, choose_yardstick
from amun.core.params import GateParams, UnlearningParams
from amun.evidence.figures import AuditFigures, HalfFigures, ModelFigures, ReportFigures, UnlearnFigures
from amun.evidence.wave import MIN_REPORTED
from amun.store.store import StoreShape

TRACELESS = "too few adversarial examples to measure the trace that gate.max_trace bounds"
UNREFUSED = "nothing that could be measured refuses it"


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
        weighed: why the attempts are made in turn, where that was weighed against retraining at once; empty otherwise.
    """

    attempts: tuple[int, ...]
    wait_reason: str = ""
    reason: str = ""
    weighed: str = ""


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
    waits_until: datetime | None,
) -> Plan:
    """Returns the attempts of a wave, or why it is parked until more requests have come.

    Args:
        unlearning: the attempts.
        gate: what a night does that cannot show forgetting.
        num_forget: training samples to forget.
        num_non_members: calibration samples still held.
        insufficient: why tonight's people cannot show that they are forgotten; empty if they can.
        waits_until: until when a night that shows nothing waits for more requests; None where it does not wait.
    """
    every = tuple(range(1, len(unlearning.attempts) + 1))
    if not num_forget:
        return Plan(every[:1])  # nothing to forget: the base is copied
    reason = insufficient or explain_traceless(num_forget, num_non_members, gate)
    if not reason or gate.insufficient == "pass_with_warning":
        return Plan(every)
    if waits_until is not None:
        return Plan((), f"{reason}; it waits for more requests until {waits_until:%Y-%m-%d}")
    return Plan(list_exact(unlearning), reason=reason)


def list_exact(unlearning: UnlearningParams) -> tuple[int, ...]:
    """Returns the numbers of the attempts that retrain exactly; none where the remain set is not at hand."""
    attempts = enumerate(unlearning.attempts, start=1)
    return tuple(number for number, attempt in attempts if attempt.is_exact)


def decide(
    unlearned: UnlearnFigures, night: NightPower, audited: AuditFigures, yardstick: float | None, gate: GateParams
) -> Decision:
    """Returns the gate's decision on an attempt.

    Args:
        unlearned: which attempt it is.
        night: whether tonight's people can show that they are forgotten.
        audited: what the calibration half shows.
        yardstick: accuracy of the last exactly trained version there; None where this one is it.
        gate: the bounds.
    """
    if not audited.num_forget:
        return Decision(True, "nothing was trained on that is to be forgotten")
    accuracy, forgiven = None, ""
    if yardstick is not None and audited.accuracy is not None:
        accuracy, forgiven = _judge_loss(audited.accuracy, night.expected_accuracy, yardstick, gate.max_accuracy_drop)
    if unlearned.is_exact:
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
        told = f"{unshown}{_tell_measured(audited)}"
        is_let = gate.insufficient == "pass_with_warning"
        return Decision(True, _join(forgiven, UNREFUSED), told) if is_let else Decision(False, told)
    return Decision(True, _join(forgiven, *(verdict.reason for verdict in verdicts), _tell_power(night)))


def _judge_loss(accuracy: float, expected: float | None, yardstick: float, max_drop: float) -> tuple[Verdict, str]:
    """Returns what the bound on accuracy says, and what is forgiven where that alone lets the attempt pass."""
    least = choose_yardstick(yardstick, expected, max_drop)
    judged, unforgiven = (judge_accuracy(accuracy, each, max_drop) for each in (least, yardstick))
    if unforgiven.passed or not judged.passed:
        return judged, ""
    return judged, f"{unforgiven.reason}, but exact retraining on the images left is expected to have {expected:.2f}"


def _tell_power(night: NightPower) -> str:
    """Says what the alarm on those who asked is worth beside canaries; nothing where there are none."""
    if night.power_asked is None:
        return ""
    return f"that none of them was forgotten it would see in {night.power_asked:.0%} of such nights"


def _join(*reasons: str) -> str:
    return "; ".join(filter(None, reasons))


def _judge_figures(night: NightPower, audited: AuditFigures, gate: GateParams) -> tuple[list[Verdict], str]:
    """Returns what the bounds on forgetting and trace say, as far as they can, and why one cannot; empty if all can.

    The bound on memory left alone lets an attempt pass; the others can only refuse it.
    """
    unshown = night.insufficient
    verdicts = []
    margin = gate.max_memory_left
    # too few people to pass may still be enough to refuse; the bounds are widened for what passes, not for what refutes
    if not unshown:
        verdicts.append(judge_memory(audited.bounds, audited.memory_left, margin))
    elif contradicts_memory(audited.refuting_bounds, margin):
        verdicts.append(judge_memory(audited.refuting_bounds, audited.memory_left, margin))
    verdicts += _judge_people(audited)
    if audited.ft_auc is not None:
        verdicts.append(judge_auc(audited.ft_auc, audited.num_forget, audited.num_calibration, gate.auc_margin))
    if gate.max_trace is None:
        return verdicts, unshown
    trace = _judge_trace(audited, gate)
    return ([*verdicts, trace], unshown) if trace is not None else (verdicts, unshown or TRACELESS)


def _judge_trace(figures: HalfFigures, gate: GateParams) -> Verdict | None:
    """Returns what is said of the trace by image: by models that were retrained beside the base, where there are any.

    None where there is no trace, or it is not to be judged.
    """
    if figures.trace is None or gate.max_trace is None:
        return None
    if figures.max_trace is not None:
        return judge_seen_trace(figures.trace, figures.max_trace)
    return judge_trace(figures.trace, figures.trace_standard_error, gate.max_trace)


def _judge_people(figures: ModelFigures) -> list[Verdict]:
    """Returns what the alarms say that look at each person, as far as they were measured."""
    verdicts = []
    if figures.spread is not None and figures.max_spread is not None:
        verdicts.append(judge_spread(figures.spread, figures.max_spread))
    if figures.overlooked is not None and figures.max_overlooked is not None:
        verdicts.append(judge_overlooked(figures.overlooked, figures.max_overlooked))
    if figures.is_apart is not None:
        verdicts.append(judge_apart(figures.is_apart))
    if figures.trace_by_person is not None and figures.max_trace_by_person is not None:
        verdicts.append(judge_trace_by_person(figures.trace_by_person, figures.max_trace_by_person))
    if figures.weights_by_person is not None and figures.max_weights_by_person is not None:
        verdicts.append(judge_weights(figures.weights_by_person, figures.max_weights_by_person))
    return verdicts


def _tell_measured(audited: AuditFigures) -> str:
    """Returns what was measured of memory left all the same, for whoever is warned; empty where nothing was."""
    bounds = audited.bounds
    if bounds is None:
        return ""
    return f"; memory left {audited.memory_left:.2f} [{bounds[0]:.2f}, {bounds[1]:.2f}]"


def find_contradiction(unlearned: UnlearnFigures, reported: ReportFigures, gate: GateParams) -> str:
    """Returns why the test half refutes an attempt that the gate has let pass; empty if it does not."""
    if unlearned.is_exact or not contradicts_memory(reported.bounds, gate.max_memory_left):
        return ""
    return f"on the test half {judge_memory(reported.bounds, reported.memory_left, gate.max_memory_left).reason}"


def find_alarms(unlearned: UnlearnFigures, reported: ReportFigures, gate: GateParams) -> str:
    """Returns what to say where an alarm sounds on the test half; the wave completes all the same."""
    if unlearned.is_exact:
        return ""
    auc, trace = reported.ft_auc, _judge_trace(reported, gate)
    alarms = [verdict.reason for verdict in _judge_people(reported) if not verdict.passed]
    if auc is not None and not judge_auc(auc, reported.num_forget, reported.num_test, gate.auc_margin).passed:
        alarms.append(f"FT AUC {auc:.3f}")
    if trace is not None and not trace.passed:
        alarms.append(trace.reason)
    return f"the test half does not confirm the gate: {'; '.join(alarms)}" if alarms else ""
