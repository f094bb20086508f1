"""The gate's bounds, as pure functions of the figures."""

from dataclasses import dataclass

from amun.audit.roc import auc_standard_error

ONE_SIDED_95 = 1.645  # standard errors
MAX_TRACE_SLACK = 0.05  # where few images make the trace unsure, it is no licence
ROUNDING = 1e-9  # 0.97 - 0.95 is a little more than 0.02


@dataclass(frozen=True)
class Verdict:
    """Whether a bound is kept, and the line that says why."""

    passed: bool
    reason: str


def judge_memory(bounds: tuple[float, float] | None, left: float | None, margin: float) -> Verdict:
    """Passes memory left that is shown to be within `margin` of what exact retraining leaves, on either side.

    Less than nothing is a leak too: people whom the model is less sure of than of strangers stand out.

    Args:
        bounds: lower and upper, each missed with the attempt's share of 5 %; None where the base's memory is not shown.
        left: the estimate.
        margin: `gate.max_memory_left`.
    """
    if bounds is None or left is None:
        return Verdict(False, "memory left has no bound: what the base remembered is not shown")
    lower, upper = bounds
    passed = is_at_most(-lower, margin) and is_at_most(upper, margin)
    relation = "within" if passed else "not within"
    return Verdict(passed, f"memory left {left:.2f} [{lower:.2f}, {upper:.2f}], {relation} {margin:g} of 0")


def contradicts_memory(bounds: tuple[float, float] | None, margin: float) -> bool:
    """Returns whether memory left is shown to lie beyond `margin` of what exact retraining leaves."""
    return bounds is not None and (bounds[0] > margin or bounds[1] < -margin)


def judge_spread(spread: float, max_spread: float) -> Verdict:
    """Refuses people who lie further from what is expected of them, on either side, than exact retraining lets them.

    Args:
        spread: as a multiple of what the references lead one to expect of exact retraining.
        max_spread: the largest that is no surprise.
    """
    passed = spread <= max_spread
    return Verdict(passed, f"spread by person {spread:.2f}, {_relate(passed)} {max_spread:.2f}")


def judge_overlooked(overlooked: float, max_overlooked: float) -> Verdict:
    """Refuses people of whom some look remembered among others, more than exact retraining lets them look.

    Args:
        overlooked: the mean log-likelihood ratio by person.
        max_overlooked: the largest that is no surprise.
    """
    passed = overlooked <= max_overlooked
    return Verdict(passed, f"overlooked people {overlooked:.3f}, {_relate(passed)} {max_overlooked:.3f}")


def judge_apart(is_apart: bool) -> Verdict:
    """Refuses where those who asked look more remembered than the canaries of the same run.

    How much more is told nowhere: they may be a single person.
    """
    found = "more" if is_apart else "no more"
    return Verdict(not is_apart, f"those who asked look {found} remembered than canaries")


def judge_auc(auc: float, num_forget: int, num_non_members: int, margin: float) -> Verdict:
    """Refuses an FT AUC shown to be further than `margin` from 0.5: |AUC - 0.5| - 1.645 se > margin.

    It is an alarm, not a proof: images are counted as if they were independent, and 0.5 is not quite the null of people
    whose images are alike.

    Args:
        auc: of the membership attack, 0 to 1.
        num_forget: samples it was measured on.
        num_non_members: held-out samples it was measured on.
        margin: `gate.auc_margin`.
    """
    slack = ONE_SIDED_95 * auc_standard_error(num_forget, num_non_members)
    shown = abs(auc - 0.5) - slack
    passed = is_at_most(shown, margin)
    return Verdict(passed, f"|FT AUC {auc:.3f} - 0.5| - {slack:.3f} = {shown:.3f}, {_relate(passed)} {margin:g}")


def judge_trace(trace: float, standard_error: float | None, max_trace: float) -> Verdict:
    """Refuses a trace of which it, or its mirror image, exceeds `max_trace` by 1.645 standard errors, or by 0.05.

    Exact retraining leaves one, too: whom the base had learned, and a new model has not, changes more than a stranger.

    Args:
        trace: 0 to 1.
        standard_error: of it; None where an earlier version did not say, and no slack is given.
        max_trace: `gate.max_trace`.
    """
    slack = min(MAX_TRACE_SLACK, ONE_SIDED_95 * (standard_error or 0.0))
    shown = max(trace, 1 - trace) - slack
    passed = is_at_most(shown, max_trace)
    return Verdict(
        passed, f"max(trace {trace:.3f}, 1 - trace) - {slack:.3f} = {shown:.3f}, {_relate(passed)} {max_trace:g}"
    )


def judge_seen_trace(trace: float, max_trace: float) -> Verdict:
    """Refuses a trace by image beyond what exact retraining was seen to leave."""
    return _judge_seen("trace", "", trace, max_trace)


def judge_trace_by_person(trace: float, max_trace: float) -> Verdict:
    """Refuses a trace by person beyond what exact retraining was seen to leave."""
    return _judge_seen("trace", " by person", trace, max_trace)


def judge_weights(weights: float, max_weights: float) -> Verdict:
    """Refuses weights that tell more by person than those of exact retraining were seen to."""
    return _judge_seen("weights", " by person", weights, max_weights)


def _judge_seen(name: str, unit: str, auc: float, most: float) -> Verdict:
    """Refuses an AUC of which it, or its mirror image, exceeds what exact retraining was seen to leave.

    Args:
        name: of the figure.
        unit: of which it is, where it is not of images.
        auc: 0 to 1.
        most: the largest that is no surprise of exact retraining (`amun.audit.retrained`).
    """
    shown = max(auc, 1 - auc)
    passed = is_at_most(shown, most)
    # with few people, or models that scatter, exact retraining may show anything
    idle = " (which refuses nothing)" if most >= 1 else ""
    return Verdict(passed, f"max({name}{unit} {auc:.3f}, 1 - {name}), {_relate(passed)} {most:.3f}{idle}")


def judge_accuracy(accuracy: float, yardstick: float, max_drop: float) -> Verdict:
    """Passes an accuracy (0 to 1) at most `max_drop` below that of the last exactly trained version."""
    drop = yardstick - accuracy
    passed = is_at_most(drop, max_drop)
    return Verdict(
        passed, f"accuracy {accuracy:.4f} is {drop:.4f} below {yardstick:.4f}, {_relate(passed)} {max_drop:g}"
    )


def is_at_most(value: float, bound: float) -> bool:
    """Returns whether a bound is kept, met exactly counting as kept, whatever the last digits of a difference are."""
    # which side a value that lies 1e-9 above falls on is nobody's matter
    return value <= bound + ROUNDING  # pragma: no mutate


def _relate(passed: bool) -> str:
    return "at most" if passed else "more than"
