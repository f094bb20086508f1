"""What a wave's new model shows of people whom earlier waves have forgotten: counts and figures of all together."""

from amun.core.counts import tell_count
from amun.evidence.figures import Figures

# how the reason begins for which an attempt is refused; the note of a wave that was parked for it tells by it
BRINGS_BACK = "it brings people of earlier waves back"


class EarlierFigures(Figures):
    """People of earlier waves, looked at again on the model of an attempt that the gate has let pass.

    Attributes:
        num_people: who were looked at.
        num_held: of how many: forgotten by earlier waves of this base, and not erased yet.
        memory_left: how much is left of what a base remembers: 0 as exact retraining, 1 as a base that had them; to two
            places, the bounds outward. None where it was not computed, as its bounds are.
        memory_left_lower: missed with a probability of 5 %; likewise the upper one.
        not_computed: why there is no figure; empty where there is.
        brings_back: the lower bound, before it is rounded down, lies above `gate.max_memory_left`.
    """

    num_people: int
    num_held: int
    memory_left: float | None = None
    memory_left_lower: float | None = None
    memory_left_upper: float | None = None
    not_computed: str = ""
    brings_back: bool = False

    def describe(self) -> str:
        """Returns the figures in words: of how many people, and what was measured, or why nothing was."""
        held = tell_count(self.num_held, "person", "people")
        who = f"{self.num_people} of {held} whom earlier waves have forgotten"
        if self.memory_left is None or self.memory_left_lower is None or self.memory_left_upper is None:
            return f"not computed of {who}: {self.not_computed}"
        bounds = f"[{self.memory_left_lower:.2f}, {self.memory_left_upper:.2f}]"
        return f"memory left {self.memory_left:.2f} {bounds} of {who}"
