"""People of earlier waves on the newest model: whom to look at tonight, and what it remembers of them.

A later wave changes the whole model, and may bring back what an earlier one has removed. No stage of DVC may depend on
people who are erased meanwhile. So this is no stage, and reads only of those who are still held.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from amun.audit.gate import ROUNDING
from amun.audit.memory import Memory
from amun.audit.night import ALPHA, NightPower
from amun.core.keys import keyed_digest
from amun.evidence.earlier import EarlierFigures
from amun.evidence.wave import ForgottenWave, Wave
from amun.store.samples import StoredOwners

# a turn by the golden ratio leaves the least gaps, however many turns there are and however many people come and go
TURN = (math.sqrt(5) - 1) / 2
_DIGITS = 12
_STEPS = 100  # figures are told to two places: nights whose people overlap tell no more of those they do not share


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


def choose_earlier(wave: Wave, train: StoredOwners, secret: bytes, limit: int, turn: int) -> Earlier:
    """Returns whom of the earlier waves to look at in this one: at most `limit` people, others in each turn.

    Everybody has a place on a circle, by the secret. Each turn begins further round it, and takes who comes next.

    Args:
        wave: tonight's. Canaries are nobody, and would crowd out those who asked. Samples that went as other people's
            twins are no sign of their owner, nor are those of which the picture stays trained on.
        train: whose the training samples are; whoever is erased is left out.
        secret: of the workspace.
        limit: `audit.earlier_people`.
        turn: how many recorded waves have looked before: a night that is tried again looks at the same people.
    """
    telling = [sample_id for earlier in wave.forgotten for sample_id in _list_telling(earlier)]
    is_held = train.is_among(telling) & ~train.is_erased
    people, codes = np.unique(train.subject_ids[is_held], return_inverse=True)
    places = np.array([_place(secret, str(person)) for person in people])
    order = np.argsort((places - turn * TURN) % 1.0, kind="stable")[:limit]
    sample_ids: list[str] = train.sample_ids[is_held][np.isin(codes, order)].tolist()
    return Earlier(sample_ids, len(order), len(people))


def _list_telling(earlier: ForgottenWave) -> set[str]:
    return set(earlier.asked_ids).difference(earlier.shared_ids, earlier.twin_ids)


def _place(secret: bytes, person: str) -> float:
    """Returns a person's place on the circle, 0 to 1."""
    digits = keyed_digest(secret, "earlier", person.encode())[:_DIGITS]
    return float(int(digits, 16)) / 16.0**_DIGITS


def expect_base_memory(earlier: Earlier, wave: Wave, nights: Mapping[int, NightPower], tonight: NightPower) -> float:
    """Returns how much bases had remembered of these people, as a share of what references remember of them.

    Each wave's own night tells, of the base that it started from. Where that night could show nothing its figure is
    chance: tonight's stands for it, or as much as the references remember. More than that is never assumed: it would
    make what is left look smaller.

    Args:
        earlier: who is looked at.
        wave: tonight's.
        nights: those of earlier waves, by number, as far as they are on record.
        tonight: what tonight's people could show.
    """
    otherwise = _trust(tonight, 1.0)
    chosen = set(earlier.sample_ids)
    told = [
        (len(chosen.intersection(forgotten.forget_ids)), _trust(nights.get(forgotten.number), otherwise))
        for forgotten in wave.forgotten
    ]
    return sum(count * share for count, share in told) / sum(count for count, _ in told)


def _trust(night: NightPower | None, otherwise: float) -> float:
    if night is None or night.insufficient or night.base_memory is None:
        return otherwise
    return min(night.base_memory, 1.0)


def judge_earlier(earlier: Earlier, memory: Memory | None, base_memory: float, margin: float) -> EarlierFigures:
    """Returns what a model remembers of people of earlier waves.

    The base that had them may be erased. So what it remembered of them is taken from the references that had them, and
    from how much bases remember beside the references.

    Args:
        earlier: who was looked at.
        memory: of the model, by whatever base; None where it cannot be measured.
        base_memory: what a base remembers, as a share of what references remember.
        margin: `gate.max_memory_left`.
    """
    counts = EarlierFigures(num_people=earlier.num_people, num_held=earlier.num_held)
    bounds = None
    if memory is not None:
        # what is expected of a base is no measurement, and does not scatter with the model's own
        expected = replace(memory, base_total=base_memory * memory.scale, base_variance=0.0, covariance=0.0)
        bounds = expected.bound(ALPHA)
    if bounds is None:
        return counts.model_copy(update={"not_computed": "the references tell nothing of these people"})
    lower, upper = bounds
    return counts.model_copy(
        update={
            "memory_left": round(expected.left * _STEPS) / _STEPS,
            "memory_left_lower": math.floor(lower * _STEPS + ROUNDING) / _STEPS,
            "memory_left_upper": math.ceil(upper * _STEPS - ROUNDING) / _STEPS,
            "brings_back": lower > margin,
        }
    )
