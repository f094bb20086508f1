"""Memory left of a wave's people: of canaries alone where there are any, beside whom those who asked are looked at."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from amun.audit.canaries import RunScores, has_enough
from amun.audit.gather import compute_model_signals, gather_evidence
from amun.audit.memory import Instrument, Memory, measure_memory
from amun.audit.observations import Evidence, Floats, Mask
from amun.core.params import AuditParams
from amun.store.samples import LabelledSamples, Samples

LogitsPair = tuple[Tensor, Tensor]


class Tonight:
    """A wave's people and the held-out ones, with what the references say of them."""

    def __init__(
        self,
        forget: LabelledSamples,
        held_out: LabelledSamples,
        references: Samples,
        inclusion: Samples,
        params: AuditParams,
    ) -> None:
        """Takes them.

        Args:
            forget: F training samples of the wave that can tell.
            held_out: H of one half, of people who were never trained on and are still held.
            references: logits (N, K, C) of every sample; no samples where there are none.
            inclusion: (N, K) 1 where the reference was trained on the sample.
            params: the signal of the attack.
        """
        self._forget, self._held_out, self._params = forget, held_out, params
        self._references, self._inclusion = references, inclusion

    def gather(self, is_chosen: Mask) -> Evidence | None:
        """Returns what the references say of some of the samples to forget (F,) and all others; None without any."""
        forget = self._forget.select(is_chosen)
        return gather_evidence(forget, self._held_out, self._references, self._inclusion, self._params)

    def measure(self, base: LogitsPair, model: LogitsPair, canary_ids: list[str], growth: float) -> Memory | None:
        """Returns how much of the base's memory a model has left; None where that cannot be measured.

        Where there are canaries it is theirs alone: whoever knows them could subtract them from a figure of all, and
        those who asked may be one person.

        Args:
            base: its logits (F, C) of the samples to forget and (H, C) of the held-out ones.
            model: likewise, of the model after; the base's once more for what the base has itself.
            canary_ids: of the samples to forget, those of canaries.
            growth: how many times the references' variance that of an exactly retrained model is.
        """
        is_canary = self._forget.is_among(canary_ids)
        is_shown = is_canary if canary_ids else np.ones_like(is_canary)
        evidence = self.gather(is_shown)
        if evidence is None or evidence.explain_missing():
            return None
        memory = measure_memory(evidence, self._signal(base, is_shown), self._signal(model, is_shown), growth)
        if memory is None or not canary_ids:
            return memory
        run = self._score(model, np.unique(self._forget.subject_ids[is_canary]))
        if run is None or not has_enough(run.is_canary):
            return None
        return replace(memory, people=run.people[~run.is_canary], scores=run.scores[~run.is_canary], run=run)

    def _score(self, model: LogitsPair, canaries: npt.NDArray[np.str_]) -> RunScores | None:
        everybody = np.ones(len(self._forget), dtype=np.bool_)
        if (evidence := self.gather(everybody)) is None:
            return None
        instrument = Instrument(evidence)
        if instrument.null is None:
            return None
        people = np.unique(evidence.subjects)[evidence.people[1]]
        found = instrument.describe_people(instrument.weigh(self._signal(model, everybody)))
        scatter = instrument.null.scatter
        return RunScores(people, scatter.score(found), scatter.score(found.as_remembered()), np.isin(people, canaries))

    def _signal(self, logits: LogitsPair, is_chosen: Mask) -> Floats:
        of_forget, of_held_out = logits
        forget = self._forget.select(is_chosen)
        return compute_model_signals(
            of_forget[torch.from_numpy(is_chosen)], of_held_out, forget, self._held_out, self._params
        )
