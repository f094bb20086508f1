"""Where faults are put in the way of waves."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.faults.tally import Tally
from tests.workspaces import Site


@dataclass
class Lab:
    """Where faults are made.

    Attributes:
        folder: for workspaces.
        zero: a workspace after `amun init`.
        one: the same after an uninterrupted wave.
        random: draws what happens when.
        seconds: that an uninterrupted wave takes.
        tally: of all.
        endings: how each run has ended, in their order, with what came in its way.
    """

    folder: Path
    zero: Site
    one: Site
    random: Random
    seconds: float
    tally: Tally = field(default_factory=Tally)
    endings: list[tuple[str, int]] = field(default_factory=list)

    def note(self, what: str, ended: int) -> int:
        """Keeps how a run has ended, and returns it."""
        self.endings.append((what, ended))
        return ended


Fault = Callable[[Lab, Site, Path], None]
