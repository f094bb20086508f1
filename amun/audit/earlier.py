"""People of earlier waves on the newest model: whom to look at tonight, and what it remembers of them.

A later wave changes the whole model, and may bring back what an earlier one has removed. No stage of DVC may depend on
people who are erased meanwhile. So this is no stage, and reads only of those who are still held.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from amun.audit.memory import Memory
from amun.audit.night import ALPHA
from amun.core.keys import keyed_digest
from amun.evidence.earlier import EarlierFigures
from amun.evidence.wave import ForgottenWave, Wave
from amun.store.samples import StoredOwners

# a turn by the golden ratio leaves the least gaps, however many turns there are and however many people come and go
TURN = (math.sqrt(5) - 1) / 2
_DIGITS = 12


@dataclass(frozen=True)
class Earlier:
    """Whom to look at.

    Attributes:
        sample_ids: their training samples.
        num_people: how many people these are.
        num_held: of how many.
    """

    sample_ids: list[str]
    num_people: int
    num_held: int


def choose_earlier(wave: Wave, train: StoredOwners, secret: bytes, limit: int) -> Earlier:
    """Returns whom of the earlier waves to look at in this one: at most `limit` people, others in each wave.

    Everybody has a place on a circle, by the secret. Each wave begins further round it, and takes who comes next.

    Args:
        wave: tonight's. Samples that went as other people's twins are no sign of their owner, nor are those of which
            the picture stays trained on.
        train: whose the training samples are; whoever is erased is left out.
        secret: of the workspace.
        limit: `audit.earlier_people`.
    """
    telling = [sample_id for earlier in wave.forgotten for sample_id in _list_telling(earlier)]
    is_held = train.is_among(telling) & ~train.is_erased
    people, codes = np.unique(train.subject_ids[is_held], return_inverse=True)
    places = np.array([_place(secret, str(person)) for person in people])
    order = np.argsort((places - wave.number * TURN) % 1.0, kind="stable")[:limit]
    sample_ids: list[str] = train.sample_ids[is_held][np.isin(codes, order)].tolist()
    return Earlier(sample_ids, len(order), len(people))


def _list_telling(earlier: ForgottenWave) -> set[str]:
    return set(earlier.forget_ids).difference(earlier.shared_ids, earlier.twin_ids)


def _place(secret: bytes, person: str) -> float:
    """Returns a person's place on the circle, 0 to 1."""
    digits = keyed_digest(secret, "earlier", person.encode())[:_DIGITS]
    return float(int(digits, 16)) / 16.0**_DIGITS


def judge_earlier(earlier: Earlier, memory: Memory | None, base_memory: float | None, margin: float) -> EarlierFigures:
    """Returns what a model remembers of people of earlier waves.

    The base that had them may be erased. So what it remembered of them is taken from the references that had them, and
    from how much the base remembers of tonight's people beside the references.

    Args:
        earlier: who was looked at.
        memory: of the model, by whatever base; None where it cannot be measured.
        base_memory: what the base remembers of tonight's people, as a share of what references remember of them; where
            that is not measured, as much as the references is assumed.
        margin: `gate.max_memory_left`.
    """
    counts = EarlierFigures(num_people=earlier.num_people, num_held=earlier.num_held)
    if memory is None:
        return counts.model_copy(update={"not_computed": "the references tell nothing of these people"})
    share = base_memory if base_memory is not None and base_memory > 0 else 1.0
    # what is expected of a base is no measurement, and does not scatter with the model's own
    expected = replace(memory, base_total=share * memory.scale, base_variance=0.0, covariance=0.0)
    bounds = expected.bound(ALPHA)
    if bounds is None:
        return counts.model_copy(update={"not_computed": "the references tell nothing of these people"})
    return counts.model_copy(
        update={
            "memory_left": expected.left,
            "memory_left_lower": bounds[0],
            "memory_left_upper": bounds[1],
            "brings_back": bounds[0] > margin,
        }
    )
