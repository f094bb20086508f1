"""What a night could show, for whomever it forgets: read once, asked for several choices of canaries."""

from collections.abc import Collection, Sequence

import numpy as np
import torch

from amun.audit.canaries import Likeness
from amun.audit.decision import count_references
from amun.audit.expected import expect_accuracy, is_retraining_alike
from amun.audit.memory import Instrument, Memory
from amun.audit.night import NightPower, foresee_night, share_alpha
from amun.audit.observations import Mask
from amun.audit.sizes import read_sizes
from amun.audit.tonight import LogitsPair, Tonight
from amun.core.params import Params
from amun.core.paths import AUDIT_INCLUSION, AUDIT_LOGITS, CALIBRATION, TRAIN, WAVE_BASE
from amun.evidence.wave import Wave
from amun.model.building import load_for
from amun.model.training import compute_logits
from amun.store.drawing import find_strangers
from amun.store.opening import SampleOpener
from amun.store.samples import read_samples
from amun.store.store import read_owners, read_shape


class Foresight:
    """The current folder's samples, base and references, as far as nights need them that differ in canaries alone."""

    def __init__(self, params: Params, device: torch.device, wave: Wave, pool: Collection[str] = ()) -> None:
        """Reads them.

        Args:
            params: all of `params.yaml`.
            device: to compute on.
            wave: tonight's.
            pool: training samples besides, of people who may be canaries or are drawn to be matched.
        """
        self.params, self._device = params, device
        self._train = read_owners(TRAIN)
        self._people = read_samples(TRAIN, sample_ids=[*wave.telling_ids, *pool])
        self._half = SampleOpener(params.runtime, device).open(CALIBRATION, without=wave.earlier_gone_ids)
        self._held_out = self._half.select(
            ~self._half.is_among(wave.gone_ids) & find_strangers(self._half, self._train)
        )
        self._references, self._inclusion = (
            read_samples(path, without=wave.earlier_gone_ids) for path in (AUDIT_LOGITS, AUDIT_INCLUSION)
        )
        self._logits: LogitsPair | None = None

    def foresee(self, wave: Wave) -> NightPower:
        """Returns what such a night could show; its held-out people are those of the wave that all was read for."""
        params, sizes = self.params, read_sizes(wave)
        is_forget = self._people.is_among(wave.telling_ids)
        forget = self._people.select(is_forget)
        expected = None
        if is_retraining_alike(params):
            samples = self._half, self._train, self._references, self._inclusion
            expected = expect_accuracy(*samples, sizes, wave.yardstick)
        return foresee_night(
            forget.select(forget.is_among(wave.figure_ids)),
            self._held_out,
            self._measure_base(is_forget, wave.forgetting.canary_ids, sizes.growth),
            count_references(read_shape(AUDIT_LOGITS)),
            expected,
            yardstick=wave.yardstick,
            margin=params.gate.max_memory_left,
            max_accuracy_drop=params.gate.max_accuracy_drop,
            alpha=share_alpha(params.unlearning.attempts),
        )

    def compare_people(self, people: Sequence[str]) -> Likeness | None:
        """Returns by what these people are matched, in their order; None where too few are read to tell.

        Args:
            people: of those whose samples were read.
        """
        asked, owners = self._gather(np.ones(len(self._people), dtype=np.bool_)), self._people.subject_ids
        evidence = asked.gather(np.ones(len(self._people), dtype=np.bool_))
        if evidence is None or evidence.explain_missing():
            return None
        names, num_samples = np.unique(owners, return_counts=True)
        position = {name: place for place, name in enumerate(names.tolist())}
        rows = np.array([position[person] for person in people], dtype=np.int64)
        scores = np.sqrt(Instrument(evidence).scales)
        return Likeness(num_samples.astype(np.float64), scores).select(rows)

    def _gather(self, is_forget: Mask) -> Tonight:
        forget = self._people.select(is_forget)
        return Tonight(forget, self._held_out, self._references, self._inclusion, self.params.audit)

    def _measure_base(self, is_forget: Mask, canary_ids: list[str], growth: float) -> Memory | None:
        """Returns what the base remembers of those of the samples that a night forgets."""
        tonight = self._gather(is_forget)
        evidence = tonight.gather(np.ones(int(is_forget.sum()), dtype=np.bool_))
        if evidence is None or evidence.explain_missing():
            return None
        if self._logits is None:
            model = load_for(self.params, read_shape(TRAIN), self._device, WAVE_BASE)
            asked, held_out = (
                compute_logits(model, part.image_set(self._device)) for part in (self._people, self._held_out)
            )
            self._logits = asked, held_out
        base = self._logits[0][torch.from_numpy(is_forget)], self._logits[1]
        return tonight.measure(base, base, canary_ids, growth)
