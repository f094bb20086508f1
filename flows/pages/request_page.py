"""The record of one request as one self-contained page, for the privacy officer and the person's file."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from amun.core.counts import tell_count
from amun.ledger import Outcome, SourceDeletion
from amun.ledger.holder import tell_holder
from flows.pages.left_out import leave_pooled_out
from flows.pages.templating import open_template
from flows.pages.wave_result import conclude_result, is_exact, tabulate_result, tell_moment
from tasks.tools.git import name_tag
from tasks.tools.new_file import require_free, write_private
from tasks.views.request_facts import ModelFacts, RequestFacts, gather_facts
from tasks.workspace.workspace import Workspace

STATES = {
    "pending": "waiting for a wave",
    "held": "on hold",
    "in_wave": "being handled in the wave under way",
    "completed": "honoured",
    "withdrawn": "withdrawn before any wave",
    "denied": "denied",
    "already_forgotten": "the person had been forgotten before",
    "nothing_held": "no sample is held under this id",
    "unmatched": "nobody in the data is called so",
}


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
    return open_template("request.html").render(
        request=facts.request,
        models=[_describe(model) for model in facts.models],
        written_at=facts.written_at,
        workspace_model=facts.workspace_model,
        commit=facts.commit,
    )


def _describe(facts: ModelFacts) -> dict[str, Any]:
    wave, outcome = facts.wave, facts.outcome
    summary = None if wave is None else wave.summary
    if summary is not None and facts.thresholds is not None:
        summary = leave_pooled_out(summary, facts.thresholds.rules.pool_samples)
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
        "result": [] if measured is None else tabulate_result(measured, comparison),
        "conclusions": [] if measured is None else conclude_result(measured, comparison, outcome.wave_number),
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
            f"there. It waits until somebody has looked; its due date is {tell_moment(facts.due_at)}."
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
            f"Erased on {tell_moment(erasure.erased_at)}: the keys of this person are destroyed, and with them every "
            f"sealed copy, wherever it lies. {_tell_source(erasure.source)}"
        )
    if erasure.started_at is not None:
        return f"Erasure was begun on {tell_moment(erasure.started_at)}, and goes on with the next night."
    late = " This is after the due date." if erasure.erase_after > facts.due_at else ""
    return f"The keys under which copies are sealed will be destroyed after {tell_moment(erasure.erase_after)}.{late}"


def _tell_source(source: SourceDeletion | None) -> str:
    """Returns what became of the person's files in the source of the data."""
    if source is None:
        return "Files in the source of the data are its owner's to delete."
    if source.deleted_at is None:
        return f"Deleting the person's files in the source was begun on {tell_moment(source.begun_at)}."
    told = f"The person's files in the source were deleted on {tell_moment(source.deleted_at)}."
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
    if is_exact(method):
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
