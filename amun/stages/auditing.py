"""What `audit` and `report` share: base and unlearned model, audited on one held-out half."""

from dataclasses import dataclass
from pathlib import Path

import torch

from amun.audit.decision import count_judged
from amun.audit.evaluation import AuditSets, ModelAudit, audit_model, choose_audit_sets
from amun.audit.roc import auc_standard_error
from amun.data.samples import read_samples
from amun.params import Params
from amun.paths import AUDIT_LOGITS, TRAIN, UNLEARNED, WAVE_BASE
from amun.stages.common import load_for
from amun.wave import read_wave


@dataclass(frozen=True)
class WaveAudit:
    """The wave's two models on one held-out half.

    Attributes:
        sets: what they were audited on, as it is after the wave.
        before: the base, on the half as it was before the wave.
        after: the unlearned model.
        num_judged: how many forget samples, the wave's own first, a judgement rests on.
    """

    sets: AuditSets
    before: ModelAudit
    after: ModelAudit
    num_judged: int

    def compute_standard_error(self, num_forget: int) -> float | None:
        """Returns the standard error of an FT AUC of so many forget samples; None where there are none to compare."""
        if not num_forget or not len(self.sets.held_out):
            return None
        return auc_standard_error(num_forget, len(self.sets.held_out))


def audit_half(params: Params, device: torch.device, half: Path) -> WaveAudit:
    """Returns the audit of the current folder's wave on the held-out half stored at `half`."""
    wave, train = read_wave(), read_samples(TRAIN)
    held_out, references = read_samples(half), read_samples(AUDIT_LOGITS)
    sets = choose_audit_sets(wave, train, held_out, references)
    sets_before = choose_audit_sets(wave, train, held_out, references, is_before=True)
    return WaveAudit(
        sets=sets,
        before=audit_model(load_for(params, train, device, WAVE_BASE), sets_before, params.audit),
        after=audit_model(load_for(params, train, device, UNLEARNED), sets, params.audit),
        num_judged=count_judged(
            sets.num_forget,
            len(sets.forget),
            len(sets.held_out),
            margin=params.gate.auc_margin,
            pool_samples=params.gate.pool_samples,
        ),
    )
