"""What the report says first: how the requests stand with their due dates, in a sentence, and a few figures."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from amun.core.counts import tell_count, tell_forgotten
from amun.evidence.attempts import Summary
from amun.ledger import Wave
from flows.pages.deadline_tables import list_days
from flows.pages.wave_result import tell_moment
from tasks.views.lineage import Version
from tasks.views.report_facts import ReportFacts
from tasks.views.reported_requests import ReportedRequest, find_date


@dataclass(frozen=True)
class Fact:
    """A figure that is read first."""

    name: str
    value: str


def tell_answer(facts: ReportFacts) -> str:
    """Returns whether deadlines were kept, in one sentence or two; of a wave without requests, why it has none."""
    if facts.requests:
        return tell_standings(facts.requests, facts.written_at)
    return "Nobody has asked to be forgotten." if facts.wave is None else _tell_empty(facts.wave)


def _tell_empty(wave: Wave) -> str:
    """Returns why a wave has no requests."""
    if wave.undone_by is not None:
        return (
            f"Rollback {wave.undone_by} has undone this wave. Its requests were opened again: they stand under the "
            "waves that handle them now."
        )
    if wave.kind == "base":
        return "This wave was to make a new base; it handles no request."
    if wave.state == "parked":
        return "This wave was given up and put nothing into service. Its requests wait for later waves, or are in them."
    return "This wave handles no request."


def tell_standings(requests: Sequence[ReportedRequest], now: datetime) -> str:
    """Returns how many requests were honoured in time, late, or not yet."""
    numbers = Counter(one.standing for one in requests)
    num_passed = sum(one.standing == "held" and find_date(one.due_at) < find_date(now) for one in requests)
    told = [f"{numbers['kept']} {_was(numbers['kept'])} honoured in time"] * bool(numbers["kept"])
    if numbers["late"]:
        told.append(f"{numbers['late']} {_was(numbers['late'])} honoured late")
    if numbers["overdue"]:
        told.append(f"{numbers['overdue']} {_is(numbers['overdue'])} past the due date and not done")
    if number := numbers["running"]:
        told.append(f"{number} {_is(number)} under way and in time")
    if number := numbers["held"]:
        passed = f" ({num_passed} past the due date)" if num_passed else ""
        told.append(f"{number} {_is(number)} on hold{passed}")
    if number := numbers["withdrawn"]:
        told.append(f"{number} {_was(number)} withdrawn")
    if number := numbers["denied"]:
        told.append(f"{number} {_was(number)} denied")
    is_any_missed = numbers["late"] or numbers["overdue"] or num_passed
    none_late = "" if is_any_missed else " No deadline was missed."
    return f"Of {tell_count(len(requests), 'request')}, {', '.join(told)}.{none_late}"


def list_facts(facts: ReportFacts) -> list[Fact]:
    """Returns the figures that are read first."""
    told = _list_wave_facts(facts) if facts.wave is not None else []
    if days := list_days(facts.requests):
        told.append(
            Fact("Days from receipt to the end, where a wave forgot", f"{median(days):g} (median), {max(days)} at most")
        )
    if num_forgotten := sum(one.state == "completed" for one in facts.requests):
        told.append(Fact("Forgotten by the model", f"the people of {tell_count(num_forgotten, 'request')}"))
    if num_in_clear := sum(one.state == "completed" and one.is_in_clear for one in facts.requests):
        people = f"those of {tell_count(num_in_clear, 'request')}"
        told.append(Fact("Copies that are not sealed", f"{people} stay until they are removed by hand"))
    if waiting := [one.due_at for one in facts.requests if one.standing == "running"]:
        told.append(Fact("Next due date", _tell_day(min(waiting))))
    return told if facts.wave is not None else [*told, *_list_facts_of_all(facts)]


def _list_facts_of_all(facts: ReportFacts) -> list[Fact]:
    told = []
    serving = next((version for version in facts.versions if "champion" in version.aliases), None)
    if serving is not None:
        made = ", registered by no wave" if serving.wave is None else f", of wave {serving.wave}"
        told.append(Fact("Version that serves", f"{serving.number}{made}"))
    complete = [wave for wave in facts.waves if wave.state == "complete" and wave.kind == "deletion"]
    num_undone = sum(wave.undone_by is not None for wave in complete)
    undone = f", and {num_undone} undone since" if num_undone else ""
    last = (
        f"{len(complete) - num_undone} complete{undone}, the last on {_tell_day(complete[-1].closed_at)}"
        if complete
        else "none"
    )
    told.append(Fact("Waves", last))
    if facts.night is not None:
        good = "none" if facts.night.good_at is None else _tell_day(facts.night.good_at)
        told.append(Fact("Last night without a failure", good))
    return told


def _list_wave_facts(facts: ReportFacts) -> list[Fact]:
    wave = facts.wave
    if wave is None:
        return []
    summary = wave.summary or Summary()
    state = wave.state if wave.undone_by is None else f"undone by rollback {wave.undone_by}"
    told = [Fact("State", f"{state}, {tell_moment(wave.closed_at)}" if wave.closed_at is not None else state)]
    if summary.num_subjects:
        samples = f"{tell_count(summary.num_forget or 0, 'training sample')}"
        people = tell_forgotten(summary.num_subjects, summary.num_canaries)
        told.append(Fact("People", f"{people}, with {samples}"))
    if summary.num_canaries:
        told.append(Fact("Figures", "of canaries alone: they show the run, and nothing of those who asked"))
    if summary.method is not None:
        told.append(
            Fact("Method", f"{summary.method}, attempt {summary.attempt}" if summary.attempt else summary.method)
        )
    if wave.version is not None:
        told.append(Fact("Versions", f"{wave.version}, {_tell_origin(wave, facts.versions)}"))
    return told


def _tell_origin(wave: Wave, versions: Sequence[Version]) -> str:
    """Returns what a wave's version was made from."""
    if any(version.wave == wave.number and version.is_adopted for version in versions):
        return "an adopted base"
    return f"made from {wave.parent_version}" if wave.parent_version else "made from nothing: a new base"


def _tell_day(at: datetime | None) -> str:
    return "—" if at is None else f"{at:%-d %B %Y}"


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def _is(number: int) -> str:
    return "is" if number == 1 else "are"
