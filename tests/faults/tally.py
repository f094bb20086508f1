"""What came of all that was put in the way of waves."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from traceback import format_exc

TOLD_CHARACTERS = 3000


@dataclass
class Tally:
    """What came of all.

    Attributes:
        kills: of programs, by the kind of fault.
        waves: that ended complete.
        inputs: that were not what they should be.
        lost: requests that no wave has honoured.
        twice: requests that are there twice.
        wrong: waves that ended otherwise than an uninterrupted one, or said what no person can read.
        told: what was wrong, a paragraph each.
        kinds: how many waves had each kind of fault in their way.
    """

    kills: Counter[str] = field(default_factory=Counter)
    waves: int = 0
    inputs: int = 0
    lost: int = 0
    twice: int = 0
    wrong: int = 0
    told: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        kinds = [
            f"{kind} {waves}" + (f" ({self.kills[kind]:,} kills)" if self.kills[kind] else "")
            for kind, waves in sorted(self.kinds.items())
        ]
        return (
            f"{self.kills.total():,} kills, {self.waves:,} waves, {self.inputs:,} inputs: "
            f"{self.lost} lost, {self.twice} twice, {self.wrong} wrong\n" + ", ".join(kinds)
        )

    @contextmanager
    def judge(self, where: str) -> Iterator[None]:
        """Counts whatever error ends the block as something wrong: the tally is of all."""
        try:
            yield
        except Exception:
            self.wrong += 1
            self.told.append(f"{where}: {format_exc()[-TOLD_CHARACTERS:]}")

    def add(self, other: "Tally") -> None:
        """Adds what came of another part."""
        self.kills += other.kills
        self.kinds += other.kinds
        self.told += other.told
        for name in ("waves", "inputs", "lost", "twice", "wrong"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
