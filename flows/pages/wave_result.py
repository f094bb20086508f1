"""What a wave's figures show, and how sure that is, as the pages for a privacy officer tell it."""

from collections.abc import Callable
from datetime import datetime
from math import sqrt

from amun.core.params import EXACT_METHOD
from amun.evidence.attempts import Summary
from amun.evidence.figures import Comparison, ModelFigures

TWO_SIDED_95 = 1.96  # standard errors
BOUND_MISSED = "each of which is missed with a probability of at most 5 %"  # of memory left


def is_exact(method: str | None) -> bool:
    """Tells whether a method is exact retraining."""
    return method == EXACT_METHOD


def tabulate_result(summary: Summary, comparison: Comparison | None) -> list[dict[str, str]]:
    """Returns the figures before, after, and of exact retraining, each a row of words."""
    test = summary.test
    retrained: ModelFigures = test if is_exact(summary.method) else comparison or Comparison()
    rows: tuple[tuple[str, str, Callable[[float], float | None]], ...] = (
        ("right answers (accuracy)", "accuracy", lambda share: _binomial_error(share, test.num_test)),
        ("recognition by attack (FT AUC)", "ft_auc", lambda _: test.standard_error),
        ("recognition by who holds the model before (trace)", "trace", lambda _: test.trace_standard_error),
        ("the same, of people by all their samples", "trace_by_person", lambda _: test.trace_by_person_standard_error),
        ("the same, by the weights alone", "weights_by_person", lambda _: test.weights_by_person_standard_error),
    )
    return _tabulate_memory(test, retrained) + [
        {
            "name": name,
            "before": _tell_share(getattr(test, f"{figure}_base"), error_of) if hasattr(test, f"{figure}_base") else "",
            "after": _tell_share(getattr(test, figure), error_of),
            "retrained": _tell_share(getattr(retrained, figure), error_of)
            if figure in retrained.model_fields_set
            else "not computed",
        }
        for name, figure, error_of in rows
        if figure in test.model_fields_set
    ]


def _tabulate_memory(test: ModelFigures, retrained: ModelFigures) -> list[dict[str, str]]:
    """Returns the row of what is left of the memory, by person; none where a wave could not, or did not, measure it."""
    if test.memory_left_lower is None:
        return []
    return [
        {
            "name": "memory that is left of the people of the wave",
            "before": tell_percent(1.0),
            "after": _tell_left(test),
            "retrained": _tell_left(retrained) if retrained.memory_left_lower is not None else "not computed",
        }
    ]


def _tell_left(figures: ModelFigures) -> str:
    if figures.memory_left is None or figures.bounds is None:
        return "not measured"
    lower, upper = figures.bounds
    return f"{tell_percent(figures.memory_left)}, between {tell_percent(lower)} and {tell_percent(upper)}"


def bound_share(share: float | None, num_samples: int) -> float:
    """Returns how far chance alone may move a share of so many samples, with 95 % confidence; 0 where there is none."""
    return TWO_SIDED_95 * _binomial_error(share, num_samples) if share is not None and num_samples else 0.0


def _binomial_error(share: float, num_samples: int) -> float:
    return sqrt(share * (1 - share) / num_samples)


def conclude_result(summary: Summary, comparison: Comparison | None, number: int | None) -> list[str]:
    """Returns what may be said of the result against exact retraining, in sentences."""
    test = summary.test
    if is_exact(summary.method):
        return [
            "The model is exactly retrained: nothing of the samples can be left in it, and nothing has to be compared."
        ]
    if test.memory_left_lower is not None:
        return _conclude_memory(summary, comparison, number)
    if test.ft_auc is None or test.standard_error is None:
        return ["Too few samples for a figure that is not a few persons' own: none is told."]
    if comparison is None or comparison.ft_auc is None:
        reason = next(made.reason for made in summary.decisions if made.passed)
        return [
            f"The comparison with exact retraining was not computed (amun wave compare {number} does it). "
            "What the gate shows without it, on a half of the people set aside for the decision: "
            f"{reason}."
        ]
    difference, slack = abs(test.ft_auc - comparison.ft_auc), sqrt(2) * TWO_SIDED_95 * test.standard_error
    return [
        "In recognition by attack the model differs from the exactly retrained one by "
        f"{100 * difference:.1f} percentage points. By chance alone they may differ by up to {100 * slack:.1f}, with "
        "95 % confidence: "
        f"{'no difference to exact retraining is shown' if difference <= slack else 'the two do differ'}."
    ]


def _conclude_memory(summary: Summary, comparison: Comparison | None, number: int | None) -> list[str]:
    """Returns what memory left says, in sentences; what the gate could not show is said first."""
    unshown = (
        [f"It was not shown by measurement that the people of the wave are forgotten: {summary.warned}."]
        if summary.warned
        else []
    )
    retrained = Comparison() if comparison is None else comparison
    beside = (
        f"An exactly retrained model showed {_tell_left(retrained)}."
        if retrained.memory_left_lower is not None
        else f"What an exactly retrained model shows here was not computed (amun wave compare {number} does it)."
    )
    return [
        *unshown,
        "Of what the model before remembered of the people of this wave, taken together, it has left "
        f"{_tell_left(summary.test)}, bounds {BOUND_MISSED}; exact retraining "
        f"leaves 0 % on average. {beside} This says nothing of one of these people.",
    ]


def _tell_share(value: float | None, error_of: Callable[[float], float | None]) -> str:
    """Returns a share with its 95 % uncertainty."""
    if value is None:
        return "too few samples"
    error = error_of(value)
    return tell_percent(value) if error is None else f"{tell_percent(value)} ± {tell_percent(TWO_SIDED_95 * error)}"


def tell_percent(value: float) -> str:
    """Returns a share, `91.3 %`."""
    return f"{100 * value:.1f} %"


def tell_moment(moment: datetime) -> str:
    """Returns a time, `31 January 2026, 09:00 UTC`."""
    return f"{moment:%-d %B %Y, %H:%M} UTC"
