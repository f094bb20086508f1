"""What git has of the nights before: how many looked at people of earlier waves, and what each base remembered."""

from dataclasses import dataclass
from pathlib import Path

from amun.audit.night import NightPower
from amun.core.errors import AmunError
from amun.core.paths import DECISIONS, POWER_METRICS
from amun.evidence.attempts import parse_decisions
from amun.evidence.wave import Wave, parse_record
from tasks.tools.git_objects import read_blobs
from tasks.workspace.recorded import list_recorded


@dataclass(frozen=True)
class Looks:
    """What is on record of the waves that tonight's line has forgotten people in.

    Attributes:
        turn: how many of them have measured anything of people of earlier waves. A wave that was parked is not among
            them, so that the night that tries it again looks at the same people.
        nights: what each could show, by number; left out where an earlier version wrote another form.
    """

    turn: int
    nights: dict[int, NightPower]


def read_looks(root: Path, wave: Wave) -> Looks:
    """Returns what the commits of a wave's earlier ones have.

    Raises:
        AmunError: git cannot be read or has lost one of their files, or a `decisions.json` in it is damaged.
    """
    recorded = list_recorded(root, "HEAD")
    commits = {one.number: recorded[one.number] for one in wave.forgotten if one.number in recorded}
    found = read_blobs(root, [f"{commit}:{path}" for commit in commits.values() for path in (DECISIONS, POWER_METRICS)])
    turn, nights = 0, {}
    for number, commit in commits.items():
        decided, power = (_read_text(found, commit, path) for path in (DECISIONS, POWER_METRICS))
        if decided is not None:
            turn += any(made.has_looked for made in parse_decisions(decided, f"{DECISIONS} at {commit[:12]}"))
        if power is not None and (night := _parse_night(power)) is not None:
            nights[number] = night
    return Looks(turn, nights)


def _read_text(found: dict[str, bytes | None], commit: str, path: Path) -> str | None:
    content = found[f"{commit}:{path}"]
    try:
        return None if content is None else content.decode()
    except UnicodeDecodeError:
        raise AmunError(f"{path} at {commit[:12]} is damaged: it is no text") from None


def _parse_night(text: str) -> NightPower | None:
    try:
        return parse_record(NightPower, text, str(POWER_METRICS))
    except AmunError:
        return None
