"""How much of the base's memory a planted fault truly leaves, by models that were really retrained.

The gate has one model, and takes references for exactly retrained ones. Here 0 is the mean of several models that were
retrained without tonight's people, the fault is made several times, and held-out people of both halves are asked. So
the figure rests on no reference, but for how much an image counts. The very model that has passed is measured as well:
other seeds may have made worse or better ones. Where a fault treats some images otherwise than the rest, each kind is
measured: what is remembered of some does not make up for what is overdone with others.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import stdtrit
from torch import nn

from amun.audit.gate import is_at_most
from amun.audit.gather import compute_model_signals, gather_evidence
from amun.audit.memory import Instrument
from amun.audit.observations import Floats
from amun.core.errors import InputError
from amun.core.params import Params
from amun.core.paths import AUDIT_INCLUSION, AUDIT_LOGITS, CALIBRATION, TEST, TRAIN, WAVE_BASE
from amun.evidence.wave import Wave
from amun.model.building import load_for
from amun.model.training import compute_logits
from amun.selftest.planted import Codes, Sort, number_people
from amun.store.drawing import find_strangers
from amun.store.samples import concatenate, read_samples
from amun.store.store import read_shape

NUM_TRAININGS = 5  # of the fault, and of exact retraining
ALPHA = 0.05  # the chance that a fault at the margin is taken for one below it
FIRST_SEED = 100  # of trainings, away from those that are judged

Make = Callable[[int], nn.Module]


@dataclass(frozen=True)
class TrueLeft:
    """What a fault leaves of the base's memory.

    Attributes:
        left: on average over its trainings, the kinds of images added up without their signs.
        upper: a bound of it, missed with a probability of 5 %.
        judged: of the model that was judged, likewise; and a bound of that, which rests on exact retraining alone.
        judged_upper: that bound.
        kinds: what the trainings leave on average of each kind, as a share of what the base has of that kind itself.
        margin: what the gate may let pass.
    """

    left: float
    upper: float
    judged: float
    judged_upper: float
    kinds: tuple[float, ...]
    margin: float

    @property
    def is_within(self) -> bool:
        """Whether the gate may let it pass: fault and judged model are shown to lie within the margin, wholly."""
        return is_at_most(max(self.upper, self.judged_upper), self.margin)


class Scale:
    """What tonight's people add to the total of models, from 0, exact retraining, to that of the base."""

    def __init__(self, params: Params, device: torch.device, wave: Wave, retrain: Make) -> None:
        """Asks the base, and models that are retrained here, of the current ground's night.

        Raises:
            InputError: there are no audit references.
            AttemptError: a model cannot be retrained.
        """
        self._params, self._device = params, device
        gone = wave.earlier_gone_ids
        train = read_samples(TRAIN, without=gone)
        halves = concatenate([read_samples(path, without=gone) for path in (CALIBRATION, TEST)])
        forgotten = train.select(train.is_among(wave.forget_ids))
        self._is_telling = forgotten.is_among(wave.telling_ids)
        self._forgotten, self._forget = forgotten, forgotten.select(self._is_telling)
        self._held_out = halves.select(~halves.is_among(wave.gone_ids) & find_strangers(halves, train))
        references, inclusion = (read_samples(path, without=gone) for path in (AUDIT_LOGITS, AUDIT_INCLUSION))
        evidence = gather_evidence(self._forget, self._held_out, references, inclusion, params.audit)
        if evidence is None:
            raise InputError("references.num_audit is 0: nothing can be measured")
        self._instrument = Instrument(evidence)
        self._of_base = self._weigh(load_for(params, read_shape(TRAIN), device, WAVE_BASE))
        self._of_exact = self._weigh_all(retrain)

    def measure(self, make: Make, judged: nn.Module, sort: Sort | None) -> TrueLeft:
        """Returns what a fault leaves.

        Args:
            make: returns the model that is trained with a seed.
            judged: the one that the gate has let pass.
            sort: what is done to each image; None tells those that strangers find easy from those they find hard.

        Raises:
            AttemptError: the fault cannot be made with one of the seeds.
        """
        faults, margin = self._weigh_all(make), self._params.gate.max_memory_left
        return find_true_left(self._of_base, self._of_exact, faults, self._weigh(judged), self._sort(sort), margin)

    def _sort(self, sort: Sort | None) -> Codes:
        if sort is None:
            expected = self._instrument.expected[self._instrument.evidence.is_forget]
            return (expected > np.median(expected)).astype(np.int64)
        # in the order in which the model is made of them
        return sort(number_people(self._forgotten.subject_ids), self._forgotten.labels.numpy())[self._is_telling]

    def _weigh_all(self, make: Make) -> Floats:
        """Returns (trainings, F) what each image adds to the totals."""
        return np.stack([self._weigh(make(FIRST_SEED + number)) for number in range(NUM_TRAININGS)])

    def _weigh(self, model: nn.Module) -> Floats:
        forget, held_out = (
            compute_logits(model, samples.images.to(self._device)) for samples in (self._forget, self._held_out)
        )
        signals = compute_model_signals(forget, held_out, self._forget, self._held_out, self._params.audit)
        return self._instrument.weigh_images(signals)


def find_true_left(
    base: Floats, exact: Floats, faults: Floats, judged: Floats, kinds: Codes, margin: float
) -> TrueLeft:
    """Returns what a fault leaves of the base's memory.

    Args:
        base: (F,) what each image adds to the total of the base.
        exact: (S, F) likewise, of S models that were retrained without them.
        faults: (S, F) likewise, of S models with the fault.
        judged: (F,) likewise, of the model that was judged.
        kinds: (F,) what is done to each of the images, as numbers from 0.
        margin: what the gate may let pass.
    """
    left, upper = _add_up(base, exact, faults, kinds)
    of_judged, judged_upper = _add_up(base, exact, judged[None], kinds)
    rests = []
    for kind in np.unique(kinds):
        of_base, of_exact, of_fault = (totals[..., kinds == kind].sum(-1).mean() for totals in (base, exact, faults))
        rests.append(float((of_fault - of_exact) / (of_base - of_exact)))
    return TrueLeft(left, upper, of_judged, judged_upper, tuple(rests), margin)


def _add_up(base: Floats, exact: Floats, faults: Floats, kinds: Codes) -> tuple[float, float]:
    """Returns what is left on average, the kinds without their signs, and its upper bound."""
    whole = base.sum() - exact.sum(1).mean()
    left, error = 0.0, 0.0
    for kind in np.unique(kinds):
        of_fault, of_exact = (totals[:, kinds == kind].sum(1) / whole for totals in (faults, exact))
        left += abs(float(of_fault.mean() - of_exact.mean()))
        error += _find_error(of_fault) + _find_error(of_exact)
    # the mean of exact retraining is in the whole as well: errors are added, not their squares
    error += left * _find_error(exact.sum(1) / whole)
    return left, left + float(stdtrit(len(exact) - 1, 1 - ALPHA)) * error


def _find_error(values: Floats) -> float:
    """Returns the standard error of the mean; 0 of one model, which is asked of itself alone."""
    return float(values.std(ddof=1).item() / len(values) ** 0.5) if len(values) > 1 else 0.0
