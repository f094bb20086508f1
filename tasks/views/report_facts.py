"""All that the report of a model tells: from the ledger, the registry and git, and no person's name or sample."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from amun.core.errors import AmunError
from amun.core.paths import PARAMS
from amun.ledger import Alert, Night, Rollback, Wave
from tasks.tools.git import run_git
from tasks.tools.git_objects import read_blobs
from tasks.views.lineage import Version, list_versions
from tasks.views.report_curves import Curves, read_curves
from tasks.views.reported_requests import ReportedRequest, report_requests
from tasks.workspace.workspace import Workspace, open_ledger


@dataclass(frozen=True)
class Bounds:
    """What the gate asked of a wave.

    Attributes:
        max_accuracy_drop: below the last exactly trained version, 0 to 1.
        max_memory_left: on either side of 0; None in waves that were not judged by it.
    """

    max_accuracy_drop: float
    max_memory_left: float | None


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
        rollbacks, alerts, night = ledger.list_rollbacks(model), ledger.list_alerts(model), ledger.find_night(model)
    bounds = _read_bounds(workspace.root, waves)
    return ReportFacts(
        model=model,
        written_at=now,
        commit=run_git(workspace.root, "rev-parse", "HEAD"),
        wave=wave,
        requests=tuple(report_requests(requests, model, now)),
        waves=tuple(waves),
        versions=tuple(list_versions(workspace)),
        rollbacks=tuple(rollbacks),
        bounds=bounds,
        curves=_find_curves(workspace.root, [one for one in waves if one.number in bounds and wave in (None, one)]),
        alerts=tuple(_count_alerts(alerts)),
        night=night,
    )


def _find_curves(root: Path, waves: Sequence[Wave]) -> Curves | None:
    """Returns the curves of the last wave that has some."""
    for wave in reversed(waves):
        if wave.state == "complete" and (found := read_curves(root, wave)) is not None:
            return found
    return None


def _count_alerts(alerts: Sequence[Alert]) -> list[RaisedAlerts]:
    numbers = Counter(alert.kind for alert in alerts)
    last = {alert.kind: alert.raised_at for alert in sorted(alerts, key=lambda alert: alert.raised_at)}
    return [RaisedAlerts(kind, number, last[kind]) for kind, number in sorted(numbers.items())]


def _read_bounds(root: Path, waves: Sequence[Wave]) -> dict[int, Bounds]:
    """Returns what the gate asked of each wave, as `params.yaml` stands in its commit."""
    names = {wave.number: f"{wave.commit}:{PARAMS}" for wave in waves if wave.commit is not None}
    found = read_blobs(root, list(names.values()))
    # nights differ in few of their parameters, if in any, and YAML takes long to read
    parsed: dict[bytes, Bounds] = {}
    bounds = {}
    for number, name in names.items():
        if (content := found[name]) is not None:
            if content not in parsed:
                parsed[content] = _parse_bounds(content, name)
            bounds[number] = parsed[content]
    return bounds


def _parse_bounds(content: bytes, name: str) -> Bounds:
    try:
        gate: dict[str, Any] = yaml.safe_load(content)["gate"]
        return Bounds(gate["max_accuracy_drop"], gate.get("max_memory_left"))
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise AmunError(f"{name} in git is damaged: {error}") from None
