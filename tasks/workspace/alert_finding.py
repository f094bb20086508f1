"""Finds what somebody has to be told of a model, from the ledger alone: any clone, and a cron job, finds the same.

Lines name waves, files and consumers by number or name, and people by how many they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from amun.core.counts import tell_count
from amun.core.params import AlertKind
from amun.evidence.earlier import BRINGS_BACK
from amun.ledger import Ledger, NewAlert, Status, Wave
from amun.ledger.alerts import TRIED_FOR
from amun.ledger.consumers import tell_holding, tell_remembering
from tasks.workspace.deadlines import find_last_night
from tasks.workspace.intake_sources import name_source
from tasks.workspace.queue import find_pace, tell_forced
from tasks.workspace.workspace import Workspace

if TYPE_CHECKING:
    # it imports DVC
    from tasks.workspace.scrubbing import Scrubbed

# waves and files before that are old news: whoever names a channel is not told of all that ever was
NEWS_FOR = TRIED_FOR


@dataclass(frozen=True)
class Moment:
    """When is looked.

    Attributes:
        now: the present time.
        is_night_over: a night has just ended: what it should have done and has not is a failure already.
        day: the date on the schedule's clock.
        due_at: when the night began to erase: whoever became due since then is the next night's.
    """

    now: datetime
    is_night_over: bool
    day: str
    due_at: datetime


def find_alerts(
    workspace: Workspace, ledger: Ledger, now: datetime, *, is_night_over: bool, due_at: datetime | None = None
) -> list[NewAlert]:
    """Returns what is to be told, what is nearest to a broken promise first.

    Args:
        workspace: whose model.
        ledger: its.
        now: the present time.
        is_night_over: a night has just ended.
        due_at: when that night began to erase; None takes the present.

    Raises:
        AmunError: the ledger does not answer.
    """
    moment = Moment(now, is_night_over, tell_day(workspace, now), due_at or now)
    status = ledger.count_status(workspace.model, now)
    return [
        *_find_late_requests(workspace, ledger, status, moment),
        *_find_unfinished_erasures(workspace, ledger, status, moment),
        *([] if is_night_over else find_silence(workspace, ledger, now)),
        *_find_late_wave(workspace, status, moment),
        *_find_waves(workspace, ledger, now),
        *_find_files(workspace, ledger, now),
        *_find_consumers(workspace, ledger, moment),
    ]


def tell_day(workspace: Workspace, now: datetime) -> str:
    """Returns the date on the schedule's clock; on UTC's where that is none."""
    try:
        zone = ZoneInfo(workspace.params.schedule.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return now.astimezone(UTC).date().isoformat()
    return now.astimezone(zone).date().isoformat()


def describe_failed_night(workspace: Workspace, now: datetime) -> NewAlert:
    """Returns what is to be told of a failed night. Why stands in its log alone: an error may quote a file's name."""
    return _make("night-failed", "", "a night has failed", tell_day(workspace, now))


def describe_damage(workspace: Workspace, scrubbed: "Scrubbed", now: datetime) -> list[NewAlert]:
    """Returns what is to be told of copies that were damaged: nothing where all that was read is sound."""
    num_mended, num_left = len(scrubbed.mended), len(scrubbed.left)
    if not num_mended + num_left:
        return []
    was = tell_count(num_mended + num_left, "copy that DVC keeps was", "copies that DVC keeps were")
    mended = f"{num_left} could not be mended" if num_left else "mended from another place"
    return [_make("copy-damaged", "", f"{was} damaged or missing: {mended}", tell_day(workspace, now))]


def _make(kind: AlertKind, name: object, line: str, day: str = "") -> NewAlert:
    return NewAlert(kind, str(name), line, day)


def _find_late_requests(workspace: Workspace, ledger: Ledger, status: Status, moment: Moment) -> Iterator[NewAlert]:
    lines = []
    if status.overdue:
        lines.append(f"{tell_count(status.overdue, 'request is', 'requests are')} past the due date")
    if status.erase_overdue:
        lines.append(f"the people of {tell_count(status.erase_overdue, 'request')} past the due date are not erased")
    if lines:
        yield _make("request-overdue", "", "; ".join(lines), moment.day)
    # the same span lies between the last night and the due date of every request
    span = moment.now - (find_last_night(workspace.params, moment.now) or moment.now)
    days = timedelta(days=workspace.params.alerts.due_days)
    near = []
    num_near = ledger.count_due(workspace.model, moment.now + span + days) - status.overdue
    if num_near > 0:
        has = tell_count(num_near, "request has", "requests have")
        left = tell_count(days.days, "day")
        near.append(f"{has} at most {left} left to a night that is still in time")
    pace = find_pace(workspace, ledger, moment.now)
    if pace is not None and pace.num_forced:
        near.append(tell_forced(pace.num_forced))
    if near:
        yield _make("request-near", "", "; ".join(near), moment.day)
    # by HTTP nobody is told of it at once
    if num_strays := ledger.count_strays(workspace.model):
        strays = tell_count(num_strays, "request matches", "requests match")
        yield _make("request-unmatched", "", f"{strays} nobody in the data", moment.day)


def _find_unfinished_erasures(
    workspace: Workspace, ledger: Ledger, status: Status, moment: Moment
) -> Iterator[NewAlert]:
    planned = ledger.plan_erasures(workspace.model, now=moment.now)
    free = [one.erasure for one in planned if not one.held_up_by]
    if moment.is_night_over:
        stuck = [one for one in free if one.started_at is not None or one.erase_after <= moment.due_at]
    else:  # before a night nobody could be erased
        stuck = [one for one in free if (one.started_at or one.erase_after) <= moment.now - _silence(workspace)]
    lines = []
    if stuck:
        lines.append(f"the people of {tell_count(len(stuck), 'request')} should be erased, and are not")
    if status.source_waiting and moment.is_night_over:
        people = tell_count(status.source_waiting, "erased person", "erased people")
        lines.append(f"files of {people} are not deleted in the source yet")
    if lines:
        yield _make("erasure-failed", "", "; ".join(lines), moment.day)


def _silence(workspace: Workspace) -> timedelta:
    return timedelta(hours=workspace.params.alerts.silent_hours)


def find_silence(workspace: Workspace, ledger: Ledger, now: datetime) -> Iterator[NewAlert]:
    """Yields that no night has ended for too long, if so."""
    night = ledger.find_night(workspace.model)
    if night is not None:
        last = night.ended_at
    else:  # none was recorded: an earlier release recorded none, or one should have followed the base
        ended = [wave.closed_at for wave in ledger.list_waves(workspace.model) if wave.closed_at is not None]
        last = max(ended, default=now)
    if now - last > _silence(workspace):
        hours = int((now - last).total_seconds() // 3600)
        line = f"no night has ended for {tell_count(hours, 'hour')}"
        yield _make("night-missing", "", line, tell_day(workspace, now))


def _find_late_wave(workspace: Workspace, status: Status, moment: Moment) -> Iterator[NewAlert]:
    wave = status.open_wave
    if wave is not None and moment.now - wave.opened_at > _silence(workspace):
        opened = f"{wave.opened_at:%Y-%m-%d %H:%M} UTC"
        yield _make("wave-late", wave.number, f"wave {wave.number} is open since {opened}", moment.day)


def _find_waves(workspace: Workspace, ledger: Ledger, now: datetime) -> Iterator[NewAlert]:
    for wave in ledger.list_waves(workspace.model):
        if wave.closed_at is None or wave.closed_at <= now - NEWS_FOR:
            continue
        if wave.state == "parked":
            yield from _judge_parked(wave)
        elif wave.kind == "deletion":
            yield from _judge_complete(wave)


def _judge_parked(wave: Wave) -> Iterator[NewAlert]:
    name = f"wave {wave.number}"
    if wave.parked_as == "waiting":
        line = f"{name} was too small to show that its people are forgotten; they wait for more requests"
        yield _make("wave-insufficient", wave.number, line)
    elif wave.parked_as == "parked" and wave.kind == "base":
        yield _make("wave-parked", wave.number, f"{name} is parked: the new base could not be made, the old one stays")
    elif wave.parked_as == "parked":
        yield _make("wave-parked", wave.number, f"{name} is parked: no attempt passed, its requests are pending again")
        if BRINGS_BACK in (wave.note or ""):
            line = f"{name}: its last attempt brought people of earlier waves back, and was refused; no version is new"
            yield _make("earlier-remembered", wave.number, line)


def _judge_complete(wave: Wave) -> Iterator[NewAlert]:
    name, summary = f"wave {wave.number}", wave.summary
    if summary is None:
        return
    if any(made.overruled and not made.brings_back for made in summary.decisions) or summary.warning:
        line = f"{name}: the test half does not confirm what the gate has decided"
        yield _make("report-contradicts", wave.number, line)
    if any(made.brings_back for made in summary.decisions):
        line = (
            f"{name}: an attempt brought people of earlier waves back, and was refused; {summary.method} is what serves"
        )
        yield _make("earlier-remembered", wave.number, line)
    refused = [made for made in summary.decisions if not made.passed and not made.overruled]
    if refused:
        attempts = ", ".join(f"{made.attempt} ({made.method})" for made in refused)
        line = f"{name}: the gate has refused attempt {attempts}; {summary.method} is what serves"
        yield _make("wave-refused", wave.number, line)
    if summary.insufficient:
        line = f"{name} was too small to show that its people are forgotten; {summary.method} is what serves"
        yield _make("wave-insufficient", wave.number, line)


def _find_files(workspace: Workspace, ledger: Ledger, now: datetime) -> Iterator[NewAlert]:
    for file in ledger.list_file_news(workspace.model, now - NEWS_FOR, name_source(workspace)):
        if file.is_rejected:
            line = f"file {file.number} of requests is rejected: none of its lines counts"
            yield _make("file-rejected", file.number, line)
        else:
            requests = tell_count(file.num_unmatched, "request", "requests")
            matches = "matches" if file.num_unmatched == 1 else "match"
            yield _make("file-unmatched", file.number, f"{requests} of file {file.number} {matches} nobody in the data")


def _find_consumers(workspace: Workspace, ledger: Ledger, moment: Moment) -> Iterator[NewAlert]:
    for consumer in ledger.list_consumers(workspace.model, moment.now):
        for line in [*tell_holding([consumer]), *tell_remembering([consumer])][:1]:
            yield _make("consumer-behind", consumer.name, line, moment.day)
