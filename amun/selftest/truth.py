"""How much of the base's memory a planted fault truly leaves, by models that were really retrained.

The gate has one model, and takes references for exactly retrained ones. Here 0 is the mean of several models that were
retrained without tonight's people, the fault is made several times, and held-out people of both halves are asked. So
the figure rests on no reference, but for how much an image counts. Where a fault treats some people otherwise than the
rest, each kind is measured: what is remembered of some does not make up for what is overdone with others.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import stdtrit
from torch import nn

from amun.audit.gate import is_at_most
from amun.audit.gather import compute_model_signals, find_strangers, gather_evidence
from amun.audit.memory import Instrument
from amun.audit.observations import Floats
from amun.core.errors import InputError
from amun.core.params import Params
from amun.core.paths import AUDIT_INCLUSION, AUDIT_LOGITS, CALIBRATION, TEST, TRAIN, WAVE_BASE
from amun.evidence.wave import Wave
from amun.model.building import load_for
from amun.model.training import compute_logits
from amun.selftest.planted import Codes
from amun.store.samples import concatenate, read_samples
from amun.store.store import read_shape

NUM_TRAININGS = 5  # of the fault, and of exact retraining
ALPHA = 0.05  # the chance that a fault at the margin is taken for one below it
FIRST_SEED = 100  # of trainings, away from those that are judged

Make = Callable[[int], nn.Module]
Names = npt.NDArray[np.str_]


@dataclass(frozen=True)
class TrueLeft:
    """What a fault leaves of the base's memory.

    Attributes:
        left: on average over its trainings, the kinds of people added up without their signs.
        upper: a bound of it, missed with a probability of 5 %.
        margin: what the gate may let pass.
    """

    left: float
    upper: float
    margin: float

    @property
    def is_within(self) -> bool:
        """Whether the gate may let it pass: the whole of it is shown to lie within the margin."""
        return is_at_most(self.upper, self.margin)


class Scale:
    """What tonight's people add to the total of models, from 0, exact retraining, to that of the base."""

    def __init__(self, params: Params, device: torch.device, wave: Wave, retrain: Make) -> None:
        """Asks the base, and models that are retrained here, of the current ground's night.

        Raises:
            InputError: there are no audit references.
        """
        self._params, self._device = params, device
        gone = wave.earlier_gone_ids
        train = read_samples(TRAIN, without=gone)
        halves = concatenate([read_samples(path, without=gone) for path in (CALIBRATION, TEST)])
        self._forget = train.select(train.is_among(wave.telling_ids))
        self._held_out = halves.select(~halves.is_among(wave.gone_ids) & find_strangers(halves, train))
        references, inclusion = (read_samples(path, without=gone) for path in (AUDIT_LOGITS, AUDIT_INCLUSION))
        evidence = gather_evidence(self._forget, self._held_out, references, inclusion, params.audit)
        if evidence is None:
            raise InputError("references.num_audit is 0: nothing can be measured")
        self._instrument = Instrument(evidence)
        self.people = np.unique(self._forget.subject_ids)
        self._of_base = self._weigh(load_for(params, read_shape(TRAIN), device, WAVE_BASE))
        self._of_exact = self._weigh_all(retrain)

    def measure(self, make: Make, kinds: Codes) -> TrueLeft:
        """Returns what a fault leaves.

        Args:
            make: returns the model that is trained with a seed.
            kinds: (P,) what is done to each of the people, as numbers from 0.
        """
        faults = self._weigh_all(make)
        return find_true_left(self._of_base, self._of_exact, faults, kinds, self._params.gate.max_memory_left)

    def _weigh_all(self, make: Make) -> Floats:
        """Returns (trainings, P) what each person adds to the totals."""
        return np.stack([self._weigh(make(FIRST_SEED + number)) for number in range(NUM_TRAININGS)])

    def _weigh(self, model: nn.Module) -> Floats:
        forget, held_out = (
            compute_logits(model, samples.images.to(self._device)) for samples in (self._forget, self._held_out)
        )
        signals = compute_model_signals(forget, held_out, self._forget, self._held_out, self._params.audit)
        return self._instrument.weigh(signals).forget


def find_true_left(base: Floats, exact: Floats, faults: Floats, kinds: Codes, margin: float) -> TrueLeft:
    """Returns what a fault leaves of the base's memory.

    Args:
        base: (P,) what each person adds to the total of the base.
        exact: (S, P) likewise, of S models that were retrained without them.
        faults: (S, P) likewise, of S models with the fault.
        kinds: (P,) what is done to each of the people, as numbers from 0.
        margin: what the gate may let pass.
    """
    whole = base.sum() - exact.sum(1).mean()
    left, error = 0.0, 0.0
    for kind in np.unique(kinds):
        of_fault, of_exact = (totals[:, kinds == kind].sum(1) / whole for totals in (faults, exact))
        left += abs(float(of_fault.mean() - of_exact.mean()))
        error += _find_error(of_fault) + _find_error(of_exact)
    # the mean of exact retraining is in the whole as well: errors are added, not their squares
    error += left * _find_error(exact.sum(1) / whole)
    upper = left + float(stdtrit(len(exact) - 1, 1 - ALPHA)) * error
    return TrueLeft(left, upper, margin)


def _find_error(values: Floats) -> float:
    error: float = values.std(ddof=1).item() / len(values) ** 0.5
    return error


def select_kinds(kinds: Codes, owners: Names, people: Names) -> Codes:
    """Returns (P,) the kinds of these people, from those of samples (F,) and their owners."""
    by_person = dict(zip(owners.tolist(), kinds.tolist(), strict=True))
    return np.array([by_person[person] for person in people.tolist()])
