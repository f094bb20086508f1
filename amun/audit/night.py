"""What a night could show, were its model retrained exactly: known before any attempt is made."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from amun.audit.canaries import ALPHA as APART_ALPHA
from amun.audit.expected import NUM_PLACES, ExpectedAccuracy
from amun.audit.gate import ROUNDING
from amun.audit.memory import Memory
from amun.audit.observations import explain_too_few
from amun.core.params import AttemptParams
from amun.core.paths import POWER_METRICS
from amun.evidence.wave import CURRENT, Record
from amun.store.samples import Owners

ALPHA = 0.05  # the chance, in a night, that a model truly at the margin passes
MIN_POWER = 0.8  # a night in which exact retraining itself would pass less often than this shows nothing
MAX_ALARMED = 0.05  # of exactly retrained models: the share that an alarm refuses by chance, assumed (docs/audit.md)


class NightPower(Record):
    """What tonight's people could show, as `metrics/power.json` has it.

    Attributes:
        num_people: whose training samples are to be forgotten; canaries alone where there are any.
        num_samples: of them.
        num_held_out_people: of the calibration half, still held and with no sample that was trained on.
        num_held_out_samples: of them.
        num_references: audit references.
        base_memory: how much the base remembers of tonight's people, as a share of what references remember of them;
            None where that cannot be measured.
        power: the chance, 0 to 1, that the whole gate would pass exact retraining, were it an attempt like others; None
            likewise. Earlier versions told of memory left alone.
        expected_accuracy: of exact retraining on what remains, at best, on the calibration half as it was before
            tonight; to two places, as `power` is. None where it cannot be foreseen or helps no attempt
            (`expect_accuracy`), or an earlier version did not say.
        weakest: what takes most from the chance: too few people, too few images that are left to retrain on, or the
            accuracy that is lost. None where nothing was computed, or an earlier version did not say.
        num_canaries: how many of the people are canaries: all or none. It is not in the file where there are none, nor
            is the next one.
        power_asked: the chance to see by the alarm on those who asked that none of them was forgotten, were all
            canaries; to two places.
    """

    num_people: int
    num_samples: int
    num_held_out_people: int
    num_held_out_samples: int
    num_references: int
    base_memory: float | None
    power: float | None
    expected_accuracy: float | None = None
    weakest: Literal["people", "images", "accuracy"] | None = None
    num_canaries: Annotated[int, Field(exclude_if=lambda value: value == 0)] = 0
    power_asked: Annotated[float | None, Field(exclude_if=lambda value: value is None)] = None

    @property
    def gains_by_waiting(self) -> bool:
        """Whether more people in one night could show more. Where too few images are left, they show less."""
        return self.weakest not in ("images", "accuracy")

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
            f"{self._name_cause()} forgotten: exact retraining itself would pass in {self.power:.0%} of such nights, "
            f"{MIN_POWER:.0%} are asked for"
        )

    def _name_cause(self) -> str:
        people = f"{self.num_people} people"
        if self.weakest == "images":
            return f"{people} leave so few images to retrain on that they cannot show that they are"
        if self.weakest == "accuracy":
            return f"without {people} so much accuracy may be lost that they cannot be shown to be"
        return f"{people}, of whom the base remembers so much, cannot show that they are"


def share_alpha(attempts: Sequence[AttemptParams]) -> float:
    """Returns each attempt's chance of passing at the margin: the night's, shared among all that are judged."""
    judged = [attempt for attempt in attempts if not attempt.is_exact]
    return ALPHA / max(1, len(judged))


def foresee_night(
    forget: Owners,
    held_out: Owners,
    memory: Memory | None,
    num_references: int,
    accuracy: ExpectedAccuracy | None,
    *,
    yardstick: float | None,
    margin: float,
    max_accuracy_drop: float,
    alpha: float,
) -> NightPower:
    """Returns what tonight could show, as if the bounds of the gate refused independently of one another.

    Args:
        forget: the samples to forget; canaries' alone where there are any.
        held_out: those to compare them with.
        memory: the base's own; None where it cannot be measured.
        num_references: audit references.
        accuracy: that exact retraining would have; None where it cannot be foreseen.
        yardstick: that of the last exactly trained version; None where there is none.
        margin: `gate.max_memory_left`.
        max_accuracy_drop: of the gate, too.
        alpha: of one attempt.
    """
    kept = 1.0
    if accuracy is not None and yardstick is not None:
        kept = accuracy.find_chance(
            choose_yardstick(yardstick, accuracy.at_best, max_accuracy_drop) - max_accuracy_drop
        )
    shown = None if memory is None else memory.compute_power(margin, alpha)
    # the alarm on those who asked has a share of its own, beside canaries
    quiet = 1.0 if memory is None or memory.run is None else 1 - APART_ALPHA
    return NightPower(
        num_people=len(np.unique(forget.subject_ids)),
        num_samples=len(forget),
        num_held_out_people=len(np.unique(held_out.subject_ids)),
        num_held_out_samples=len(held_out),
        num_references=num_references,
        base_memory=None if memory is None else memory.base_total / memory.scale,
        power=None if shown is None else round_down(quiet * combine_chances(kept, shown)),
        expected_accuracy=None if accuracy is None else accuracy.at_best,
        weakest=None if memory is None or shown is None else _find_weakest(memory, kept, shown, margin, alpha),
        num_canaries=0 if memory is None or memory.run is None else memory.num_forgotten,
        power_asked=None if memory is None or memory.run is None else round_down(memory.run.find_power()),
    )


def combine_chances(accuracy: float, memory: float) -> float:
    """Returns the chance, 0 to 1, that all of the gate passes, from those of accuracy and of memory left."""
    return (1 - MAX_ALARMED) * accuracy * memory


def _find_weakest(
    memory: Memory, accuracy: float, shown: float, margin: float, alpha: float
) -> Literal["people", "images", "accuracy"]:
    if accuracy < shown:
        return "accuracy"
    as_many = memory.as_measured.compute_power(margin, alpha)
    return "images" if combine_chances(accuracy, as_many) >= MIN_POWER else "people"


def round_down(chance: float) -> float:
    """Returns a chance, 0 to 1, to two places: no more of what the references say of few people is told."""
    steps: int = 10**NUM_PLACES
    return math.floor(chance * steps + ROUNDING) / steps


def choose_yardstick(yardstick: float, expected: float | None, max_drop: float) -> float:
    """Returns the accuracy, 0 to 1, below which an attempt is not to be by more than `gate.max_accuracy_drop`.

    Exact retraining is what follows a refusal: an attempt is not held to more than that is expected to have. What is
    forgiven so is `max_drop` once more at most: however many leave, no attempt passes that has lost more than twice it.
    """
    return yardstick if expected is None else max(min(yardstick, expected), yardstick - max_drop)


def read_night(workspace: Path = CURRENT) -> NightPower:
    """Returns what the stage `power` has found."""
    return NightPower.model_validate_json((workspace / POWER_METRICS).read_text(encoding="utf-8"))
