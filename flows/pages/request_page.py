"""The record of one request as one self-contained page, for the privacy officer and the person's file."""

from collections.abc import Callable
from datetime import UTC, datetime
from math import sqrt
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from amun.core.counts import tell_count
from amun.core.params import EXACT_METHOD
from amun.evidence.attempts import Summary
from amun.evidence.figures import Comparison, ModelFigures
from amun.ledger import Outcome, SourceDeletion
from amun.ledger.holder import tell_holder
from tasks.tools.git import name_tag
from tasks.tools.new_file import require_free, write_private
from tasks.views.request_facts import ModelFacts, RequestFacts, Thresholds, gather_facts
from tasks.workspace.workspace import Workspace

TWO_SIDED_95 = 1.96  # standard errors
STATES = {
    "pending": "waiting for the next wave",
    "held": "kept back by a legal hold",
    "in_wave": "being handled in the wave under way",
    "completed": "honoured",
    "withdrawn": "withdrawn before any wave",
    "already_forgotten": "the person had been forgotten before",
    "nothing_held": "no sample is held under this id",
    "unmatched": "nobody in the data is called so",
}

POOLED = (
    "judged together with people who were forgotten earlier: what that showed is not said of the people of this wave"
)


def write_page(workspace: Workspace, request_id: str, path: Path) -> None:
    """Writes a request's record in one piece, readable by its owner alone.

    Raises:
        InputError: there is no such request; the file exists, its folder does not, or git would keep it.
    """
    require_free("--html", path, workspace.root)
    page = render_page(gather_facts(workspace, request_id))
    with write_private("--html", path) as unfinished:
        unfinished.write_text(page, encoding="utf-8")


def render_page(facts: RequestFacts) -> str:
    """Returns the page: one HTML document that refers to nothing outside it."""
    environment = Environment(
        loader=PackageLoader("flows.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"moment": _tell_moment, "percent": _tell_percent, "tell_count": tell_count}
    return environment.get_template("request.html").render(
        request=facts.request,
        models=[_describe(model) for model in facts.models],
        written_at=facts.written_at,
        workspace_model=facts.workspace_model,
        commit=facts.commit,
    )


def _describe(facts: ModelFacts) -> dict[str, Any]:
    wave, outcome = facts.wave, facts.outcome
    summary = None if wave is None or wave.summary is None else _leave_pooled_out(wave.summary, facts.thresholds)
    measured = summary if summary is not None and summary.num_forget else None
    comparison = None if wave is None else wave.comparison
    return {
        **{name: getattr(facts, name) for name in ("outcome", "wave", "thresholds", "events", "copies")},
        "summary": summary,
        "state": STATES.get(outcome.state, outcome.state.replace("_", " ")),
        "answer": _tell_answer(facts),
        "erasure": _tell_erasure(facts),
        "tag": None if wave is None or wave.commit is None else name_tag(wave.number),
        "serving": _tell_serving(facts),
        "twins": "" if facts.twins is None else facts.twins.describe(),
        "own_samples": _tell_own_samples(facts),
        "method": None if summary is None else _tell_method(summary.method),
        "result": [] if measured is None else _tabulate(measured, comparison),
        "conclusions": [] if measured is None else _conclude(measured, comparison, outcome.wave_number),
        "run_by": "" if wave is None else tell_holder(wave.holder),
    }


def _tell_answer(facts: ModelFacts) -> str:
    outcome, wave = facts.outcome, facts.wave
    state = STATES.get(outcome.state, outcome.state.replace("_", " "))
    if outcome.state == "completed" and wave is not None:
        return (
            f"Honoured by wave {wave.number}, {_tell_margin(outcome, facts.due_at)}: version {wave.version}, in which "
            "this person is forgotten, was put into service."
        )
    if outcome.state == "unmatched":
        return (
            "Neither honoured nor closed: nobody in the data is called so, and the person may be spelled otherwise "
            f"there. It waits until somebody has looked; its due date is {_tell_moment(facts.due_at)}."
        )
    if outcome.state == "already_forgotten":
        told = f"The person had been forgotten before, by wave {outcome.wave_number}"
        if wave is not None and wave.undone_by is not None:
            return (
                f"{told}, which rollback {wave.undone_by} has undone since: the request that it honoured is open again."
            )
        return f"{told}."
    return f"{state[0].upper()}{state[1:]}."


def _tell_erasure(facts: ModelFacts) -> str:
    """Returns what becomes of the sealed copies of a person whom a wave has forgotten; nothing of anybody else."""
    erasure = facts.outcome.erasure
    if facts.outcome.state != "completed":
        return ""
    if erasure is None:
        return (
            "No key of this person is destroyed: none was to be when the wave was complete. Copies stay until they are "
            "removed by hand."
        )
    if erasure.erased_at is not None:
        return (
            f"Erased on {_tell_moment(erasure.erased_at)}: the keys of this person are destroyed, and with them every "
            f"sealed copy, wherever it lies. {_tell_source(erasure.source)}"
        )
    if erasure.started_at is not None:
        return f"Erasure was begun on {_tell_moment(erasure.started_at)}, and goes on with the next night."
    late = " This is after the due date." if erasure.erase_after > facts.due_at else ""
    return f"The keys under which copies are sealed will be destroyed after {_tell_moment(erasure.erase_after)}.{late}"


def _tell_source(source: SourceDeletion | None) -> str:
    """Returns what became of the person's files in the source of the data."""
    if source is None:
        return "Files in the source of the data are its owner's to delete."
    if source.deleted_at is None:
        return f"Deleting the person's files in the source was begun on {_tell_moment(source.begun_at)}."
    told = f"The person's files in the source were deleted on {_tell_moment(source.deleted_at)}."
    return f"{told} Left to its owner: {'; '.join(source.left)}." if source.left else told


def _tell_own_samples(facts: ModelFacts) -> str:
    found = [version for version in facts.versions if facts.wave is not None and version.wave == facts.wave.number]
    if not found:
        return ""
    counts = (("that the model before had been trained on", found[0].num_train), ("held out", found[0].num_held_out))
    told = (
        (what, "an unknown number of samples" if n is None else tell_count(n, "sample")) for what, n in counts if n != 0
    )
    return ", ".join(f"{count} {what}" for what, count in told)


def _tell_serving(facts: ModelFacts) -> str:
    """Returns what the version that serves now has to do with the person."""
    serving = [version for version in facts.versions if "champion" in version.aliases]
    return f"version {serving[0].version}: {serving[0].role}" if serving else ""


def _tell_method(method: str | None) -> str:
    if method == "none":
        return "none: the model had not been trained on any sample of the wave, so it was kept as it was"
    if _is_exact(method):
        return f"{method}: trained anew, without the samples of anybody who has been forgotten; exact"
    return f"{method}: trained further on altered samples until the forgotten ones look unseen; approximate"


def _tell_margin(outcome: Outcome, due_at: datetime) -> str:
    """Returns how many days before or after its due date a request was honoured, by the dates that the page shows."""
    due_on, decided_on = (moment.astimezone(UTC).date() for moment in (due_at, outcome.decided_at or due_at))
    days = (due_on - decided_on).days
    if not days:
        return "on the day it was due"
    told = tell_count(abs(days), "day")
    return f"{told} before it was due" if days > 0 else f"{told} after it was due"


def _is_exact(method: str | None) -> bool:
    return method == EXACT_METHOD


def _tabulate(summary: Summary, comparison: Comparison | None) -> list[dict[str, str]]:
    test = summary.test
    retrained: ModelFigures = test if _is_exact(summary.method) else comparison or Comparison()
    rows: tuple[tuple[str, str, Callable[[float], float | None]], ...] = (
        ("right answers (accuracy)", "accuracy", lambda share: _binomial_error(share, test.num_test)),
        ("recognition by attack (FT AUC)", "ft_auc", lambda _: test.standard_error),
        ("recognition by who holds the model before (trace)", "trace", lambda _: test.trace_standard_error),
        ("the same, of people by all their samples", "trace_by_person", lambda _: test.trace_by_person_standard_error),
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
            "before": _tell_percent(1.0),
            "after": _tell_left(test),
            "retrained": _tell_left(retrained) if retrained.memory_left_lower is not None else "not computed",
        }
    ]


def _tell_left(figures: ModelFigures) -> str:
    if figures.memory_left is None or figures.bounds is None:
        return "not measured"
    lower, upper = figures.bounds
    return f"{_tell_percent(figures.memory_left)}, between {_tell_percent(lower)} and {_tell_percent(upper)}"


def _binomial_error(share: float, num_samples: int) -> float:
    return sqrt(share * (1 - share) / num_samples)


def _leave_pooled_out(summary: Summary, thresholds: Thresholds | None) -> Summary:
    """Returns a wave's facts without what was shown of its people and of others together."""
    if thresholds is None or (summary.num_forget or 0) >= thresholds.pool_samples:
        return summary
    told = {"reason": POOLED, "warning": ""}
    decisions = tuple(made if _is_exact(made.method) else made.model_copy(update=told) for made in summary.decisions)
    return summary.model_copy(update={"decisions": decisions})


def _conclude(summary: Summary, comparison: Comparison | None, number: int | None) -> list[str]:
    """Returns what may be said of the result against exact retraining, in sentences."""
    test = summary.test
    if _is_exact(summary.method):
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
        f"{_tell_left(summary.test)} (each bound is missed with a probability of at most 5 %); exact retraining "
        f"leaves 0 % on average. {beside} This says nothing of one of these people.",
    ]


def _tell_share(value: float | None, error_of: Callable[[float], float | None]) -> str:
    """Returns a share with its 95 % uncertainty."""
    if value is None:
        return "too few samples"
    error = error_of(value)
    return _tell_percent(value) if error is None else f"{_tell_percent(value)} ± {_tell_percent(TWO_SIDED_95 * error)}"


def _tell_percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _tell_moment(moment: datetime) -> str:
    return f"{moment:%-d %B %Y, %H:%M} UTC"
