"""The full form's nights: the untouched base and exact weights, over many people who might ask, on several bases."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from amun.audit.decision import Decision
from amun.audit.night import MIN_POWER
from amun.core.params import Params
from amun.core.paths import BASE_MODEL, TRAIN
from amun.model.building import build_for, load_for
from amun.model.trainer import train_model
from amun.selftest.alike import change_people, give_styles, merge_people, remove_gone
from amun.selftest.ground import draw_people
from amun.selftest.nights import Field, Judgement
from amun.selftest.quick import SIZES
from amun.stages.train import train
from amun.store.samples import Samples
from amun.store.store import read_shape

NUM_BASES = 3
NUM_UNTOUCHED, NUM_EXACT = 100, 34  # nights of each size on one base
MAX_UNTOUCHED, MAX_REFUSED = 0.01, 0.1  # of the nights
UNTOUCHED, EXACT = "untouched base", "exact weights"
_COUNTS = ("num_nights", "num_sufficient", "num_promoted", "num_refused")
AS_THEY_ARE, STYLED, MERGED = "as they are", "of a style each", "one with 300 images"
ALIKE = {STYLED: give_styles, MERGED: merge_people}
_FIRST_SEED = 5000  # of trainings, away from those of a workspace


@dataclass(frozen=True)
class Nights:
    """What is said of a model over many nights of one size.

    Attributes:
        planted: the model.
        people: whose: as they are, or changed to be alike.
        num_people: who ask.
        num_nights: drawn.
        num_sufficient: that could show something.
        num_promoted: in which the model would serve: the gate passes it, and the report does not contradict.
        num_refused: in which something speaks against it, whether the night could show something or not.
        grounds: how often each bound was one that it did not keep.
    """

    planted: str
    people: str
    num_people: int
    num_nights: int
    num_sufficient: int
    num_promoted: int
    num_refused: int
    grounds: dict[str, int]

    def add(self, other: "Nights") -> "Nights":
        """Returns both together."""
        counts = {name: getattr(self, name) + getattr(other, name) for name in _COUNTS}
        return replace(self, **counts, grounds=dict(Counter(self.grounds) + Counter(other.grounds)))

    @property
    def is_miss(self) -> bool:
        """Whether the untouched base passes too often, or exact weights pass too seldom or are refused too often."""
        if self.planted == UNTOUCHED:
            return self.num_promoted > MAX_UNTOUCHED * self.num_nights
        if self.people != AS_THEY_ARE:
            return self.num_refused > MAX_REFUSED * self.num_nights
        return self.num_promoted < MIN_POWER * self.num_sufficient


class BaseNights:
    """Nights on the current ground's base."""

    def __init__(self, params: Params, device: torch.device, seed: int) -> None:
        """Asks the base of all samples; another seed draws other people and trains other models."""
        self._device, self._seed = device, _FIRST_SEED + 1000 * seed
        self._field = Field(params, device)
        self._base = load_for(params, read_shape(TRAIN), device, BASE_MODEL)
        self._candidates = self._field.search(self._base)
        self._of_base = self._field.ask(self._base, self._base, self._candidates)

    def draw_untouched(self, num_people: int, num_nights: int) -> Iterator[Judgement]:
        """Yields what is said of the base itself."""
        for number in range(num_nights):
            people = self._draw_people(number)[:num_people]
            yield self._field.judge(people, self._of_base, self._of_base)

    def draw_exact(self, num_people: int, num_nights: int, *, is_always: bool) -> Iterator[Judgement]:
        """Yields what is said of models that were retrained without those who ask.

        Args:
            num_people: who ask.
            num_nights: drawn; the model of each is trained anew.
            is_always: a model is made where the night can show nothing, too. A wave makes none there.
        """
        for number in range(num_nights):
            people = self._draw_people(number)[:num_people]
            night = self._field.foresee(people, self._of_base)
            if night.insufficient and not is_always:
                yield Judgement(night, Decision(False, night.insufficient), Decision(True, ""), False)
                continue
            model = retrain(self._field, self._device, people, self._seed + number)
            answers = self._field.ask(self._base, model, self._candidates)
            yield self._field.judge(people, self._of_base, answers)

    def _draw_people(self, number: int) -> list[str]:
        """Returns an order of the people; who owns a tenth of the images or more comes first."""
        people, sizes = np.unique(self._field.train.subject_ids, return_counts=True)
        large = set(people[sizes >= len(self._field.train) / 10].tolist())
        return sorted(draw_people(self._seed + number), key=lambda person: person not in large)


def build_base(params: Params, device: torch.device, seed: int) -> None:
    """Gives the current ground another base, trained with another seed on who is still held."""
    remove_gone(params)
    train(
        params.model_copy(update={"training": params.training.model_copy(update={"seed": _FIRST_SEED + seed})}), device
    )


def draw_on_base(params: Params, device: torch.device, seed: int) -> list[Nights]:
    """Returns the nights of every size on the current ground's base, for the untouched base and for exact weights."""
    nights = BaseNights(params, device, seed)
    drawn = []
    for size in list_sizes(len(draw_people(0))):
        for planted, judged in (
            (UNTOUCHED, nights.draw_untouched(size, NUM_UNTOUCHED)),
            (EXACT, nights.draw_exact(size, NUM_EXACT, is_always=False)),
        ):
            drawn.append(count_nights(planted, AS_THEY_ARE, size, judged))
            print(f"base {seed}: {drawn[-1]}", flush=True)
    return drawn


def draw_alike(params: Params, device: torch.device, people: str) -> Nights:
    """Returns the largest nights of exact weights among people whose images are alike, on the current ground.

    Its samples, base and references are changed.

    Args:
        params: of the workspace.
        device: to compute on.
        people: how they are alike, a key of `ALIKE`.
    """
    remove_gone(params)
    change_people(params, device, ALIKE[people])
    size = list_sizes(len(draw_people(0)))[-1]
    judged = BaseNights(params, device, 0).draw_exact(size, NUM_EXACT, is_always=True)
    return count_nights(EXACT, people, size, judged)


def list_sizes(num_people: int) -> list[int]:
    """Returns the sizes of nights that there are among so many people: at most half of them ask."""
    return [size for size in SIZES if size <= num_people // 2]


def add_up(nights: Sequence[Nights]) -> list[Nights]:
    """Returns the nights of all bases together, by model, people and size."""
    added: dict[tuple[str, str, int], Nights] = {}
    for each in nights:
        key = each.planted, each.people, each.num_people
        before = added.get(key)
        added[key] = each if before is None else before.add(each)
    return list(added.values())


def retrain(field: Field, device: torch.device, people: Sequence[str], seed: int) -> nn.Module:
    """Returns a model trained as the base was, on everybody else."""
    remain = field.train.select(~np.isin(field.train.subject_ids, list(people)))
    return train_on(field.params, device, remain, seed)


def train_on(params: Params, device: torch.device, remain: Samples, seed: int) -> nn.Module:
    """Returns a model trained as the base was, with a seed of its own, on these samples of the current folder."""
    model = build_for(params, read_shape(TRAIN), device, seed)
    train_model(
        model,
        remain.images.to(device),
        remain.labels.to(device),
        params=params.training.model_copy(update={"seed": seed}),
        precision=params.runtime.precision,
        on_epoch=lambda _: None,
    )
    return model.eval()


def count_nights(planted: str, people: str, num_people: int, judgements: Iterable[Judgement]) -> Nights:
    """Returns the nights of one size, counted."""
    judged = list(judgements)
    return Nights(
        planted=planted,
        people=people,
        num_people=num_people,
        num_nights=len(judged),
        num_sufficient=sum(not judgement.night.insufficient for judgement in judged),
        num_promoted=sum(judgement.is_promoted for judgement in judged),
        num_refused=sum(judgement.is_refused for judgement in judged),
        grounds=dict(Counter(ground for judgement in judged for ground in judgement.list_grounds()).most_common()),
    )
