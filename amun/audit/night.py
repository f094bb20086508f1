"""What a night could show, were its model retrained exactly: known before any attempt is made."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from amun.audit.memory import Memory
from amun.audit.observations import explain_too_few
from amun.core.params import AttemptParams
from amun.core.paths import POWER_METRICS
from amun.evidence.wave import CURRENT, Record
from amun.store.samples import Owners

ALPHA = 0.05  # the chance, in a night, that a model truly at the margin passes
MIN_POWER = 0.8  # a night in which exact retraining itself would pass less often than this shows nothing


class NightPower(Record):
    """What tonight's people could show, as `metrics/power.json` has it.

    Attributes:
        num_people: whose training samples are to be forgotten.
        num_samples: of them.
        num_held_out_people: of the calibration half, still held and with no sample that was trained on.
        num_held_out_samples: of them.
        num_references: audit references.
        base_memory: how much the base remembers of tonight's people, as a share of what references remember of them;
            None where that cannot be measured.
        power: the chance, 0 to 1, that memory left would pass exact retraining, were it an attempt like others; None
            likewise.
    """

    num_people: int
    num_samples: int
    num_held_out_people: int
    num_held_out_samples: int
    num_references: int
    base_memory: float | None
    power: float | None

    @property
    def insufficient(self) -> str:
        """Why tonight cannot show that its people are forgotten; empty if it can."""
        num_people = self.num_people, self.num_held_out_people
        too_few = explain_too_few(num_people, (self.num_samples, self.num_held_out_samples), self.num_references)
        if too_few:
            return too_few
        if self.power is None:
            return "the references tell nothing of these people: it cannot be shown that they are forgotten"
        if self.power >= MIN_POWER:
            return ""
        return (
            f"{self.num_people} people, of whom the base remembers so much, are too few to show that they are "
            f"forgotten: exact retraining itself would pass in {self.power:.0%} of such nights, {MIN_POWER:.0%} are "
            "asked for"
        )


def share_alpha(attempts: Sequence[AttemptParams]) -> float:
    """Returns each attempt's chance of passing at the margin: the night's, shared among all that are judged."""
    judged = [attempt for attempt in attempts if not attempt.is_exact]
    return ALPHA / max(1, len(judged))


def foresee_night(
    forget: Owners, held_out: Owners, memory: Memory | None, num_references: int, *, margin: float, alpha: float
) -> NightPower:
    """Returns what tonight could show.

    Args:
        forget: the samples to forget.
        held_out: those to compare them with.
        memory: the base's own; None where it cannot be measured.
        num_references: audit references.
        margin: `gate.max_memory_left`.
        alpha: of one attempt.
    """
    return NightPower(
        num_people=len(np.unique(forget.subject_ids)),
        num_samples=len(forget),
        num_held_out_people=len(np.unique(held_out.subject_ids)),
        num_held_out_samples=len(held_out),
        num_references=num_references,
        base_memory=None if memory is None else memory.base_total / memory.scale,
        power=None if memory is None else memory.compute_power(margin, alpha),
    )


def read_night(workspace: Path = CURRENT) -> NightPower:
    """Returns what the stage `power` has found."""
    return NightPower.model_validate_json((workspace / POWER_METRICS).read_text(encoding="utf-8"))
