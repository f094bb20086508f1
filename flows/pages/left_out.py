"""What pages leave out of a wave's figures: what was shown of others together with its people, or of a few persons."""

from dataclasses import replace

from amun.core.counts import tell_count
from amun.evidence.attempts import Summary
from amun.evidence.figures import Comparison, ReportFigures
from amun.evidence.wave import MIN_PEOPLE
from amun.ledger import Wave
from flows.pages.wave_result import is_exact
from tasks.views.wave_rules import Bounds

POOLED = (
    "judged together with people who were forgotten earlier: what that showed is not said of the people of this wave"
)
FEW = f"what it showed is left out: fewer than {tell_count(MIN_PEOPLE, 'person', 'people')} were forgotten"


def leave_pooled_out(summary: Summary, pool_samples: int) -> Summary:
    """Returns a wave's facts without what was shown of its people and of others together."""
    return summary if (summary.num_forget or 0) >= pool_samples else _replace_reasons(summary, POOLED)


def leave_few_out(wave: Wave, bounds: Bounds | None) -> Wave:
    """Returns a wave as the report may tell of it: nothing that was measured on the samples of a few persons."""
    summary = wave.summary
    if summary is None or not summary.num_forget:
        return wave
    if bounds is not None:
        summary = leave_pooled_out(summary, bounds.rules.pool_samples)
    if not has_few_people(wave, bounds):
        return replace(wave, summary=summary)
    test = summary.test
    # what is of people never trained on alone
    kept = ReportFigures(
        num_forget=test.num_forget, num_test=test.num_test, accuracy=test.accuracy, accuracy_base=test.accuracy_base
    )
    compared = None if wave.comparison is None else Comparison(accuracy=wave.comparison.accuracy)
    summary = _replace_reasons(summary, FEW).model_copy(update={"test": kept, "warning": ""})
    return replace(wave, summary=summary, comparison=compared)


def has_few_people(wave: Wave, bounds: Bounds | None) -> bool:
    """Tells whether so few people were forgotten that a figure of their samples would be a person's own."""
    # figures of canaries are of none of those who asked
    if wave.summary is None or not wave.summary.num_forget or wave.summary.num_canaries:
        return False
    asked = wave.summary.num_subjects or 0
    # who asked may have had no sample that was trained on
    people = asked if bounds is None or bounds.num_people is None else min(asked, bounds.num_people)
    return people < MIN_PEOPLE


def _replace_reasons(summary: Summary, reason: str) -> Summary:
    told = {"reason": reason, "warning": ""}
    decisions = tuple(made if is_exact(made.method) else made.model_copy(update=told) for made in summary.decisions)
    return summary.model_copy(update={"decisions": decisions})
