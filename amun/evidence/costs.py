"""What the stages of a wave took, and what was decided by that: they foresee what the next wave takes."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from amun.core.params import Policy
from amun.core.paths import PLAN
from amun.evidence.figures import Figures
from amun.evidence.wave import parse_record


class StageCost(Figures):
    """What one run of a stage took. It stands in the ledger, not in git, which has what was expected by it.

    Attributes:
        stage: its name.
        seconds: that its own function took; starting its program is not in it.
        num_samples: that it has trained on, searched for or looked at; None where its time goes by no such number.
        epochs: how often.
        method: of the attempt that it made or judged; None for other stages.
        machine: that computed.
    """

    stage: str
    seconds: float
    num_samples: int | None = None
    epochs: int = 1
    method: str | None = None
    machine: str = ""


class PlannedNight(Figures):
    """Which attempts a night was to make, as `wave/plan.json` has it.

    Attributes:
        policy: `unlearning.policy`.
        attempts: their numbers, in turn.
        reason: why it is retrained at once, or what was weighed by `cheapest`; empty where nothing was to decide.
        at_once_seconds: that exact retraining at once was expected to take, its audit included, to a tenth. None where
            that was not weighed, or could not be foreseen.
        in_order_seconds: likewise, of the attempts in their order.
    """

    policy: Policy
    attempts: Annotated[tuple[int, ...], Field(strict=False)]
    reason: str = ""
    at_once_seconds: float | None = None
    in_order_seconds: float | None = None


def read_planned(workspace: Path) -> PlannedNight | None:
    """Returns what was planned for the wave at hand; None where an earlier version has begun it.

    Raises:
        AmunError: the file is damaged.
    """
    path = workspace / PLAN
    return parse_record(PlannedNight, path.read_text(encoding="utf-8"), str(path)) if path.exists() else None
