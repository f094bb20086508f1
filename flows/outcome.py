"""How a run of a flow ended; apart from the flows, so that reading it imports no Prefect."""

from dataclasses import dataclass
from typing import Literal

from amun.core.errors import AmunError
from amun.evidence.attempts import Summary


class ParkedError(AmunError):
    """A night ends with this where its wave is parked."""


@dataclass(frozen=True)
class Outcome:
    """How a run of a flow ended.

    Attributes:
        state: complete, parked, waiting (parked until more requests have come), nothing (none was pending), busy
            (another run is at it) or planned (a dry run).
        number: the wave, where there is one.
        detail: why it was parked, or who runs it.
        summary: the wave's figures, when complete.
        num_rejected: files in the intake source that were rejected at the start.
        told: `detail` as the terminal is told it, where that names what nothing may keep.
    """

    state: Literal["complete", "parked", "waiting", "nothing", "busy", "planned"]
    number: int | None = None
    detail: str = ""
    summary: Summary | None = None
    num_rejected: int = 0
    told: str = ""
