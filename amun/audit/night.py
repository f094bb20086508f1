"""What a night could show, were its model retrained exactly: known before any attempt is made."""

from collections.abc import Sequence
from pathlib import Path

from amun.audit.memory import MIN_PEOPLE, MIN_REFERENCES, Evidence, Floats, measure_memory
from amun.params import AttemptParams
from amun.paths import POWER_METRICS
from amun.unlearning.methods import find_method
from amun.wave import CURRENT, Record

ALPHA = 0.05  # the chance, in a night, that a model truly at the margin passes
MIN_POWER = 0.8  # a night in which exact retraining itself would pass less often than this shows nothing


class NightPower(Record):
    """What tonight's people could show, as `metrics/power.json` has it.

    Attributes:
        num_people: whose training samples are to be forgotten.
        num_held_out_people: of the calibration half, who are still held.
        num_references: audit references.
        base_memory: how much the base remembers of tonight's people, as a share of what references remember of them;
            None where there are too few people to say.
        power: the chance, 0 to 1, that exact retraining, were it an attempt like others, would pass; None likewise.
    """

    num_people: int
    num_held_out_people: int
    num_references: int
    base_memory: float | None
    power: float | None

    @property
    def insufficient(self) -> str:
        """Why tonight cannot show that its people are forgotten; empty if it can."""
        if not self.num_references:
            return "without audit references (references.num_audit) it cannot be shown that they are forgotten"
        if self.num_references < MIN_REFERENCES:
            return (
                f"{self.num_references} audit references (references.num_audit) are too few to show that they are "
                f"forgotten: {MIN_REFERENCES} at least"
            )
        if self.power is None:
            return (
                f"{self.num_people} people, beside {self.num_held_out_people} held out, are too few to show that they "
                f"are forgotten: {MIN_PEOPLE} of either at least"
            )
        if self.power >= MIN_POWER:
            return ""
        return (
            f"{self.num_people} people are too few to show that they are forgotten: exact retraining itself would pass "
            f"in {self.power:.0%} of such nights, {MIN_POWER:.0%} are asked for"
        )


def share_alpha(attempts: Sequence[AttemptParams]) -> float:
    """Returns each attempt's chance of passing at the margin: the night's, shared among all that are judged."""
    judged = [attempt for attempt in attempts if not find_method(attempt.method).is_exact]
    return ALPHA / max(1, len(judged))


def foresee_night(
    evidence: Evidence | None, base: Floats | None, num_people: tuple[int, int], margin: float, alpha: float
) -> NightPower:
    """Returns what tonight could show.

    Args:
        evidence: what the references say of tonight's samples; None without references.
        base: (N,) the base's signals of them.
        num_people: to forget, and held out.
        margin: `gate.max_memory_left`.
        alpha: of one attempt.
    """
    memory = None if evidence is None or base is None else measure_memory(evidence, base, base)
    return NightPower(
        num_people=num_people[0],
        num_held_out_people=num_people[1],
        num_references=0 if evidence is None else evidence.num_references,
        base_memory=None if memory is None else memory.base_total / memory.scale,
        power=None if memory is None else memory.compute_power(margin, alpha),
    )


def read_night(workspace: Path = CURRENT) -> NightPower:
    """Returns what the stage `power` has found."""
    return NightPower.model_validate_json((workspace / POWER_METRICS).read_text(encoding="utf-8"))
