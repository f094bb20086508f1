"""How much models of a line of waves have of what its first base remembered of people."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from amun.audit.gather import compute_model_signals, gather_evidence
from amun.audit.memory import Instrument, compare_totals
from amun.audit.observations import Floats
from amun.core.errors import InputError
from amun.core.params import Params
from amun.core.paths import AUDIT_INCLUSION, AUDIT_LOGITS, BASE_MODEL, CALIBRATION, TEST, TRAIN
from amun.model.building import load_for
from amun.model.training import compute_accuracy, compute_logits
from amun.store.drawing import find_strangers
from amun.store.samples import Samples, concatenate, read_samples
from amun.store.store import read_shape

ALPHA = 0.025  # on either side: bounds of 95 %


@dataclass(frozen=True)
class Remembered:
    """What a model has of a base's memory of some people.

    Attributes:
        left: 0 is what exact retraining leaves, 1 what the base had.
        lower: of 95 %; None where the base's own memory is not shown.
        upper: likewise.
    """

    left: float
    lower: float | None
    upper: float | None


class Meter:
    """Measures models of the current folder's line against its first base, by the held-out people of both halves."""

    def __init__(self, params: Params, device: torch.device) -> None:
        """Reads all samples and references."""
        self._params, self._device = params, device
        self.train, self._test = read_samples(TRAIN), read_samples(TEST)
        halves = concatenate([read_samples(CALIBRATION), self._test])
        self._held_out = halves.select(find_strangers(halves, self.train))
        self._references, self._inclusion = read_samples(AUDIT_LOGITS), read_samples(AUDIT_INCLUSION)
        self._base = self.load(BASE_MODEL)

    def load(self, path: Path) -> nn.Module:
        """Returns a model of the line."""
        return load_for(self._params, read_shape(TRAIN), self._device, path)

    def measure(self, forget_ids: list[str], model: nn.Module) -> Remembered:
        """Returns what a model has of the base's memory of the owners of these samples.

        Raises:
            InputError: there are no audit references.
        """
        forget = self.train.select(self.train.is_among(forget_ids))
        evidence = gather_evidence(forget, self._held_out, self._references, self._inclusion, self._params.audit)
        if evidence is None:
            raise InputError("references.num_audit is 0: nothing can be measured")
        of_base, of_model = (self._ask(each, forget) for each in (self._base, model))
        memory = compare_totals(Instrument(evidence), of_base, of_model)
        lower, upper = memory.bound(ALPHA) or (None, None)
        return Remembered(memory.left, lower, upper)

    def measure_accuracy(self, model: nn.Module) -> float:
        """Returns how many of the test samples a model gets right, 0 to 1."""
        return compute_accuracy(compute_logits(model, self._test.images.to(self._device)), self._test.labels)

    def _ask(self, model: nn.Module, forget: Samples) -> Floats:
        of_forget, of_held_out = (
            compute_logits(model, samples.images.to(self._device)) for samples in (forget, self._held_out)
        )
        return compute_model_signals(of_forget, of_held_out, forget, self._held_out, self._params.audit)
