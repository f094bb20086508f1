"""The gate's bounds, as pure functions of the figures."""

import math
from dataclasses import dataclass

from amun.audit.roc import auc_standard_error

ONE_SIDED_95 = 1.645  # standard errors
ROUNDING = 1e-9  # 0.97 - 0.95 is a little more than 0.02
MIN_POWER = 0.8  # a night in which exact retraining itself would pass less often than this shows nothing


@dataclass(frozen=True)
class Verdict:
    """Whether a bound is kept, and the line that says why."""

    passed: bool
    reason: str


def compute_power(num_forget: int, num_non_members: int, margin: float) -> float:
    """Returns the chance, 0 to 1, that a model which truly has an FT AUC of 0.5 is shown to be within `margin` of it.

    Its measured FT AUC scatters around 0.5 by the standard error of so many samples.
    """
    if min(num_forget, num_non_members) == 0:
        return 0.0
    room = margin / auc_standard_error(num_forget, num_non_members) - ONE_SIDED_95
    return max(0.0, math.erf(room / math.sqrt(2)))


def is_sufficient(num_forget: int, num_non_members: int, margin: float) -> bool:
    """Returns whether so many samples would show the forgetting of an exactly retrained model in 4 of 5 nights."""
    return compute_power(num_forget, num_non_members, margin) >= MIN_POWER


def judge_forgetting(auc: float, num_forget: int, num_non_members: int, margin: float) -> Verdict:
    """Passes an FT AUC shown to be within `margin` of 0.5, on either side: |AUC - 0.5| + 1.645 se <= margin.

    Args:
        auc: of the membership attack, 0 to 1.
        num_forget: samples it was measured on.
        num_non_members: held-out samples it was measured on.
        margin: of equivalence.
    """
    slack = ONE_SIDED_95 * auc_standard_error(num_forget, num_non_members)
    distance = abs(auc - 0.5)
    passed = distance + slack <= margin + ROUNDING
    relation = "within" if passed else "not within"
    return Verdict(passed, f"|FT AUC {auc:.3f} - 0.5| + {slack:.3f} = {distance + slack:.3f}, {relation} {margin:g}")


def shows_memory(auc: float, num_forget: int, num_non_members: int, margin: float) -> bool:
    """Returns whether an FT AUC is shown to be further than `margin` from 0.5: |AUC - 0.5| - 1.645 se > margin."""
    slack = ONE_SIDED_95 * auc_standard_error(num_forget, num_non_members)
    return abs(auc - 0.5) - slack > margin


def judge_trace(trace: float, max_trace: float) -> Verdict:
    """Passes a trace (0 to 1) of which neither it nor its mirror image, 1 - trace, exceeds `max_trace`."""
    shown = max(trace, 1 - trace)
    passed = shown <= max_trace + ROUNDING
    relation = "at most" if passed else "more than"
    return Verdict(passed, f"max(trace {trace:.3f}, 1 - trace) = {shown:.3f}, {relation} {max_trace:g}")


def judge_accuracy(accuracy: float, yardstick: float, max_drop: float) -> Verdict:
    """Passes an accuracy (0 to 1) at most `max_drop` below that of the last exactly trained version."""
    drop = yardstick - accuracy
    passed = drop <= max_drop + ROUNDING
    relation = "at most" if passed else "more than"
    return Verdict(passed, f"accuracy {accuracy:.4f} is {drop:.4f} below {yardstick:.4f}, {relation} {max_drop:g}")
