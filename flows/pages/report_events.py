"""What failed, and what was done: attempts that were refused, nights that showed too little, waves that were parked.

Words that people have written, such as why a rollback was asked for, may name somebody and are left out.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from amun.evidence.attempts import Judged, Summary
from amun.ledger import Rollback, Wave
from flows.pages.layout import day, tell_waves
from flows.pages.report_tables import Table
from flows.pages.wave_result import is_exact

Event = tuple[datetime, str, str, str]


def tabulate_events(waves: Sequence[Wave], rollbacks: Sequence[Rollback]) -> Table:
    """Returns what failed and what was done, the latest at the top."""
    events = [event for wave in waves for event in _find_events(wave)]
    events += [_describe_rollback(rollback) for rollback in rollbacks]
    rows = [(where, day(at), what, done) for at, where, what, done in sorted(events, reverse=True)]
    columns = ("where", "day", "what failed", "what was done")
    return Table("What failed and what was done, the latest at the top", columns, tuple(rows), is_of_words=True)


def _find_events(wave: Wave) -> Iterator[Event]:
    at, where = wave.closed_at or wave.opened_at, f"wave {wave.number}"
    if wave.state == "parked":
        yield from _describe_parked(wave, at, where)
    summary = wave.summary
    if wave.state != "complete" or summary is None:
        return
    undone = "" if wave.undone_by is None else f"; undone since by rollback {wave.undone_by}"
    for made in summary.decisions:
        if not made.passed:
            what = f"attempt {made.attempt} ({made.method}): {_tell_who(made)}, {made.reason}"
            yield at, where, what, f"{_tell_passed(summary)}{undone}"
    if summary.insufficient and summary.num_forget:
        yield (
            at,
            where,
            f"too few people to show that they are forgotten: {summary.insufficient}",
            f"{_tell_passed(summary)}{undone}",
        )
    done = f"its version was put into service, the warning stays on record{undone}"
    if summary.warned:
        yield at, where, f"passed with a warning: {summary.warned}", done
    if summary.warning:
        yield at, where, summary.warning, done


def _tell_who(made: Judged) -> str:
    if not made.overruled:
        return "the gate has refused it"
    by = "the look at earlier waves" if made.brings_back else "the report"
    return f"{by} has overruled the gate"


def _tell_passed(summary: Summary) -> str:
    how = "retrained exactly" if is_exact(summary.method) else f"{summary.method} passed"
    return f"{how}, attempt {summary.attempt}" if len(summary.decisions) > 1 else how


def _describe_parked(wave: Wave, at: datetime, where: str) -> Iterator[Event]:
    if wave.parked_as == "nothing":
        return
    if wave.parked_as == "waiting":
        yield at, where, wave.note or "too few people", "its requests wait for the next night"
    elif wave.kind == "base":
        yield at, where, "the new base could not be made", "the version before goes on serving"
    else:
        # why stands in its note, which may quote an error and so the name of a file
        yield at, where, "parked: it could not be finished", "its requests wait for the next night"


def _describe_rollback(rollback: Rollback) -> Event:
    what = f"the model went back from version {rollback.from_version} to version {rollback.to_version}"
    undone = f"; {tell_waves(rollback.undone_waves)} undone" if rollback.undone_waves else ""
    done = (
        f"who had been forgotten since is forgotten anew from wave {rollback.wave_number} on"
        if rollback.finished_at is not None
        else "not finished: `amun wave run` goes on with it"
    )
    return rollback.started_at, f"rollback {rollback.number}", f"{what}{undone}", done
