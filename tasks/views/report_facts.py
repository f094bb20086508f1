"""All that the report of a model tells: from the ledger, the registry and git, and no person's name or sample."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from amun.ledger import Alert, Night, Rollback, Wave
from tasks.tools.git import run_git
from tasks.views.lineage import Version, list_versions
from tasks.views.report_curves import Curves, read_curves
from tasks.views.reported_requests import ReportedRequest, report_requests
from tasks.views.wave_rules import Bounds, read_bounds
from tasks.workspace.workspace import Workspace, open_ledger


@dataclass(frozen=True)
class RaisedAlerts:
    """The alerts of one kind.

    Attributes:
        kind: what sort of thing has happened.
        number: how often.
        last_at: when it was noticed last.
    """

    kind: str
    number: int
    last_at: datetime


@dataclass(frozen=True)
class ReportFacts:
    """What a report tells.

    Attributes:
        model: the model's name.
        written_at: now.
        commit: of the workspace.
        wave: the one that it is about; None for all time.
        requests: of that wave, or all.
        waves: all, by number.
        versions: all, by number.
        rollbacks: all, oldest first.
        bounds: the gate's, by the number of the wave; a wave whose commit is not in this clone has none.
        curves: of the wave, or of the last one that has some.
        alerts: by kind.
        night: when nights ended last; None where none is on record.
    """

    model: str
    written_at: datetime
    commit: str
    wave: Wave | None
    requests: tuple[ReportedRequest, ...]
    waves: tuple[Wave, ...]
    versions: tuple[Version, ...]
    rollbacks: tuple[Rollback, ...]
    bounds: dict[int, Bounds]
    curves: Curves | None
    alerts: tuple[RaisedAlerts, ...]
    night: Night | None


def gather_report(workspace: Workspace, number: int | None = None) -> ReportFacts:
    """Returns what is told of one wave, or of all time.

    Raises:
        InputError: there is no such wave.
        AmunError: the registry, the ledger or git does not answer.
    """
    model, now = workspace.model, datetime.now(UTC)
    with open_ledger() as ledger:
        wave = None if number is None else ledger.get_wave(model, number)
        requests = ledger.list_requests(model) if number is None else ledger.requests_of_wave(model, number)
        waves = ledger.list_waves(model)
        cleared = [one.number for one in ledger.list_cleared(model).values() if one.destroyed_at is not None]
        rollbacks, alerts, night = ledger.list_rollbacks(model), ledger.list_alerts(model), ledger.find_night(model)
    bounds = read_bounds(workspace.root, waves)
    return ReportFacts(
        model=model,
        written_at=now,
        commit=run_git(workspace.root, "rev-parse", "HEAD"),
        wave=wave,
        requests=tuple(report_requests(requests, model, now, cleared)),
        waves=tuple(waves),
        versions=tuple(list_versions(workspace)),
        rollbacks=tuple(rollbacks),
        bounds=bounds,
        curves=_find_curves(workspace.root, [one for one in waves if wave in (None, one)], bounds),
        alerts=tuple(_count_alerts(alerts)),
        night=night,
    )


def _find_curves(root: Path, waves: Sequence[Wave], bounds: dict[int, Bounds]) -> Curves | None:
    """Returns the curves of the last wave that has some."""
    for wave in reversed(waves):
        if wave.state == "complete" and wave.number in bounds:
            bound = bounds[wave.number]
            people = [number for number in (bound.num_people, bound.num_unseen) if number is not None]
            found = read_curves(root, wave, min(people, default=None))
            if found is not None:
                return found
    return None


def _count_alerts(alerts: Sequence[Alert]) -> list[RaisedAlerts]:
    numbers = Counter(alert.kind for alert in alerts)
    last = {alert.kind: alert.raised_at for alert in sorted(alerts, key=lambda alert: alert.raised_at)}
    return [RaisedAlerts(kind, number, last[kind]) for kind, number in sorted(numbers.items())]
