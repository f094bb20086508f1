"""The report of a model as one self-contained page, for the privacy officer: one wave, or all time."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from amun.core.counts import tell_count
from amun.core.files import replace_file
from amun.core.paths import REPORT
from amun.evidence.attempts import Summary
from flows.pages.drawings.curves import draw_histograms, draw_roc
from flows.pages.drawings.descent import draw_descent
from flows.pages.drawings.series import draw_accuracy, draw_memory, list_accuracy, list_memory
from flows.pages.drawings.timeline import draw_deadlines
from flows.pages.report_events import tabulate_events
from flows.pages.report_tables import (
    tabulate_alerts,
    tabulate_deadlines,
    tabulate_histograms,
    tabulate_roc,
    tabulate_versions,
    tabulate_waves,
)
from flows.pages.wave_result import conclude_result, is_exact, tabulate_result, tell_moment
from tasks.tools.new_file import require_free, write_private
from tasks.views.report_curves import MIN_CELL
from tasks.views.report_facts import ReportFacts, gather_report
from tasks.views.reported_requests import ReportedRequest
from tasks.workspace.workspace import Workspace

OPTION = "--out"


@dataclass(frozen=True)
class Fact:
    """A figure that is read first."""

    name: str
    value: str


def write_report(workspace: Workspace, number: int | None, path: Path | None) -> Path:
    """Writes the report in one piece, readable by its owner alone, and returns where.

    Args:
        workspace: whose model.
        number: of the wave; None for all time.
        path: a new file; None for the workspace's own, which is replaced.

    Raises:
        InputError: there is no such wave; the file exists, its folder does not, or git would keep it.
        AmunError: the ledger, the registry or git does not answer.
    """
    if path is not None:
        require_free(OPTION, path, workspace.root, "tells of a model's people")
    page = render_report(gather_report(workspace, number))
    written = workspace.root / REPORT if path is None else path
    with replace_file(written, mode=0o600) if path is None else write_private(OPTION, path) as unfinished:
        unfinished.write_text(page, encoding="utf-8")
    return written


def render_report(facts: ReportFacts) -> str:
    """Returns the page: one HTML document that refers to nothing outside it, and runs nothing."""
    return _open_template().render(
        facts=facts,
        first=list_facts(facts),
        answer=tell_answer(facts.requests),
        min_cell=MIN_CELL,
        **_draw(facts),
        **_describe_wave(facts),
    )


@cache
def _open_template() -> Template:
    environment = Environment(
        loader=PackageLoader("flows.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"moment": tell_moment, "tell_count": tell_count}
    return environment.get_template("report.html")


def _draw(facts: ReportFacts) -> dict[str, Any]:
    """Returns the pictures and their tables."""
    waves = facts.waves if facts.wave is None else [wave for wave in facts.waves if wave.number <= facts.wave.number]
    accuracy, memory = list_accuracy(waves, facts.bounds), list_memory(waves, facts.bounds)
    curves, told = facts.curves, waves if facts.wave is None else [facts.wave]
    return {
        "deadlines": draw_deadlines(facts.requests, facts.written_at),
        "deadline_tables": tabulate_deadlines(facts.requests, facts.written_at),
        "accuracy": draw_accuracy(accuracy),
        "memory": draw_memory(memory),
        "waves": tabulate_waves(waves, accuracy, memory),
        "histograms": None if curves is None else draw_histograms(curves),
        "histogram_table": None if curves is None or not curves.histograms else tabulate_histograms(curves),
        "roc": None if curves is None else draw_roc(curves),
        "roc_table": None if curves is None else tabulate_roc(curves),
        "descent": draw_descent(facts.versions),
        "versions": tabulate_versions(facts.versions),
        "events": tabulate_events(told, facts.rollbacks if facts.wave is None else ()),
        "alerts": tabulate_alerts(facts.alerts),
    }


def _describe_wave(facts: ReportFacts) -> dict[str, Any]:
    wave = facts.wave
    summary = None if wave is None else wave.summary
    measured = summary if summary is not None and summary.num_forget else None
    return {
        "summary": summary,
        "exact": summary is not None and is_exact(summary.method),
        "result": [] if wave is None or measured is None else tabulate_result(measured, wave.comparison),
        "conclusions": []
        if wave is None or measured is None
        else conclude_result(measured, wave.comparison, wave.number),
    }


def tell_answer(requests: tuple[ReportedRequest, ...]) -> str:
    """Returns whether deadlines were kept, in one sentence or two."""
    if not requests:
        return "Nobody has asked to be forgotten."
    numbers = Counter(one.standing for one in requests)
    told = [f"{numbers['kept']} {_was(numbers['kept'])} honoured in time"] * bool(numbers["kept"])
    if numbers["late"]:
        told.append(f"{numbers['late']} {_was(numbers['late'])} honoured late")
    if numbers["overdue"]:
        told.append(f"{numbers['overdue']} {_is(numbers['overdue'])} past the due date and not done")
    if number := numbers["running"]:
        told.append(f"{number} {_is(number)} under way and in time")
    if number := numbers["held"]:
        told.append(f"{number} {_is(number)} kept back by a legal hold")
    if number := numbers["withdrawn"]:
        told.append(f"{number} {_was(number)} withdrawn")
    none_late = "" if numbers["late"] or numbers["overdue"] else " No deadline was missed."
    return f"Of {tell_count(len(requests), 'request')}, {', '.join(told)}.{none_late}"


def list_facts(facts: ReportFacts) -> list[Fact]:
    """Returns the figures that are read first."""
    told = _list_wave_facts(facts) if facts.wave is not None else []
    days = [(one.done_at - one.received_at).days for one in facts.requests if one.done_at is not None]
    if days:
        told.append(Fact("Days from receipt to the end", f"{median(days):g} (median), {max(days)} at most"))
    if num_forgotten := sum(one.state == "completed" for one in facts.requests):
        told.append(Fact("Forgotten by the model", f"the people of {tell_count(num_forgotten, 'request')}"))
    waiting = [one.due_at for one in facts.requests if one.standing in ("running", "overdue")]
    if waiting:
        told.append(Fact("Next due date", _tell_day(min(waiting))))
    if facts.wave is not None:
        return told
    serving = next((version for version in facts.versions if "champion" in version.aliases), None)
    if serving is not None:
        made = "" if serving.wave is None else f", of wave {serving.wave}"
        told.append(Fact("Version that serves", f"{serving.number}{made}"))
    done = [wave for wave in facts.waves if wave.state == "complete" and wave.kind == "deletion"]
    told.append(Fact("Waves", f"{len(done)} complete, the last on {_tell_day(done[-1].closed_at)}" if done else "none"))
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
        told.append(Fact("People", f"{summary.num_subjects}, with {samples}"))
    if summary.method is not None:
        told.append(
            Fact("Method", f"{summary.method}, attempt {summary.attempt}" if summary.attempt else summary.method)
        )
    if wave.version is not None:
        told.append(Fact("Versions", f"{wave.version}, made from {wave.parent_version or 'nothing: a new base'}"))
    return told


def _tell_day(at: datetime | None) -> str:
    return "—" if at is None else f"{at:%-d %B %Y}"


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def _is(number: int) -> str:
    return "is" if number == 1 else "are"
