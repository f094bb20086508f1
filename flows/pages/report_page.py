"""The report of a model as one self-contained page, for the privacy officer: one wave, or all time."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from amun.core.errors import InputError
from amun.core.locks import hold_lock
from amun.core.paths import REPORT, REPORT_LOCK
from amun.evidence.wave import MIN_PEOPLE
from flows.pages.deadline_tables import tabulate_deadlines, tabulate_due
from flows.pages.drawings.calendar import draw_calendar
from flows.pages.drawings.curves import draw_histograms, draw_roc
from flows.pages.drawings.descent import draw_descent
from flows.pages.drawings.series import draw_accuracy, draw_memory, list_accuracy, list_memory
from flows.pages.drawings.timeline import draw_deadlines
from flows.pages.left_out import has_few_people, leave_few_out
from flows.pages.report_answer import list_facts, tell_answer
from flows.pages.report_events import tabulate_events
from flows.pages.report_tables import (
    tabulate_alerts,
    tabulate_histograms,
    tabulate_roc,
    tabulate_versions,
    tabulate_waves,
)
from flows.pages.templating import open_template
from flows.pages.wave_result import BOUND_MISSED, conclude_result, tabulate_result
from tasks.tools.new_file import require_free, write_private
from tasks.views.report_curves import MIN_CELL
from tasks.views.report_facts import ReportFacts, gather_report
from tasks.workspace.workspace import Workspace

OPTION = "--out"


def write_report(workspace: Workspace, number: int | None, path: Path | None) -> Path:
    """Writes the report in one piece, readable by its owner alone, and returns where.

    Args:
        workspace: whose model.
        number: of the wave; None for all time.
        path: a new file; None for the workspace's own, which is replaced.

    Raises:
        InputError: there is no such wave; the file exists, its folder does not, or git would keep it; it cannot be
            written.
        AmunError: the ledger, the registry or git does not answer.
    """
    if path is not None:
        require_free(OPTION, path, workspace.root, "tells of a model's people")
    page = render_report(gather_report(workspace, number))
    return write_page(workspace.root, path, page)


def write_page(root: Path, path: Path | None, page: str) -> Path:
    """Writes the page in one piece, and returns where.

    Args:
        root: of the workspace.
        path: a new file; None for the workspace's own, which is replaced.
        page: the text.

    Raises:
        InputError: it cannot be written.
    """
    written = root / REPORT if path is None else path
    holding = _hold_own(root) if path is None else nullcontext()
    with holding, write_private("amun report:" if path is None else OPTION, written) as unfinished:
        unfinished.write_text(page, encoding="utf-8")
    return written


@contextmanager
def _hold_own(root: Path) -> Iterator[None]:
    """Keeps two calls from writing the workspace's own report at once."""
    with ExitStack() as stack:
        try:
            stack.enter_context(hold_lock(root / REPORT_LOCK, is_told=False))
        except OSError as error:
            raise InputError(f"amun report: {root / REPORT_LOCK}: {error.strerror}; name a file by {OPTION}") from None
        yield


def render_report(facts: ReportFacts, *, is_served: bool = False) -> str:
    """Returns the page: one HTML document that refers to nothing outside it, and runs nothing.

    Args:
        facts: what it tells.
        is_served: it leads to the list of requests that is served beside it.
    """
    facts = _leave_few_out(facts)
    return open_template("report.html").render(
        facts=facts,
        is_served=is_served,
        first=list_facts(facts),
        answer=tell_answer(facts),
        min_cell=MIN_CELL,
        min_people=MIN_PEOPLE,
        bound_missed=BOUND_MISSED,
        **_draw(facts),
        **_describe_wave(facts),
    )


def _leave_few_out(facts: ReportFacts) -> ReportFacts:
    """Returns the facts without what was measured on a few persons' samples, whoever has gathered them."""
    waves = {wave.number: leave_few_out(wave, facts.bounds.get(wave.number)) for wave in facts.waves}
    curves, wave = facts.curves, facts.wave
    if curves is not None and has_few_people(waves[curves.number], facts.bounds.get(curves.number)):
        curves = None
    return replace(facts, waves=tuple(waves.values()), wave=None if wave is None else waves[wave.number], curves=curves)


def _draw(facts: ReportFacts) -> dict[str, Any]:
    """Returns the pictures and their tables."""
    waves = facts.waves if facts.wave is None else [wave for wave in facts.waves if wave.number <= facts.wave.number]
    accuracy, memory = list_accuracy(waves, facts.bounds), list_memory(waves, facts.bounds)
    curves, told = facts.curves, waves if facts.wave is None else [facts.wave]
    return {
        "deadlines": draw_deadlines(facts.requests, facts.written_at),
        "calendar": draw_calendar(facts.requests, facts.written_at),
        "due": tabulate_due(facts.requests, facts.written_at),
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
        "result": [] if wave is None or measured is None else tabulate_result(measured, wave.comparison),
        "conclusions": []
        if wave is None or measured is None
        else conclude_result(measured, wave.comparison, wave.number),
    }
