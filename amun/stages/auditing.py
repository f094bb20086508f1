"""What `audit` and `report` share: base and unlearned model, audited on one held-out half."""

from dataclasses import dataclass
from pathlib import Path

import torch

from amun.audit.decision import count_references
from amun.audit.evaluation import AuditSets, ModelAudit, audit_model, choose_audit_sets
from amun.audit.roc import auc_standard_error
from amun.data.samples import read_samples
from amun.data.store import read_shape
from amun.params import Params
from amun.paths import AUDIT_LOGITS, TRAIN, UNLEARNED, WAVE_BASE
from amun.stages.common import load_for
from amun.wave import read_wave


@dataclass(frozen=True)
class WaveAudit:
    """The wave's two models on one held-out half.

    Attributes:
        sets: what the unlearned model was audited on, as it is after the wave.
        sets_before: what the base was audited on, as it was before the wave.
        before: the base.
        after: the unlearned model.
        num_references: how many models the membership attack compares with.
        not_measured: which figures are missing whatever the wave, and why; None where none is.
    """

    sets: AuditSets
    sets_before: AuditSets
    before: ModelAudit
    after: ModelAudit
    num_references: int
    not_measured: str | None

    def compute_standard_error(self, num_forget: int) -> float | None:
        """Returns the standard error of an FT AUC of so many forget samples; None where there are none to compare."""
        if not num_forget or not len(self.sets.held_out):
            return None
        return auc_standard_error(num_forget, len(self.sets.held_out))


def audit_half(params: Params, device: torch.device, half: Path) -> WaveAudit:
    """Returns the audit of the current folder's wave on the held-out half stored at `half`.

    Where the remaining training samples are not at hand, of the training split only what is or was to be forgotten
    is read.
    """
    wave, shape, num_references = read_wave(), read_shape(TRAIN), count_references(read_shape(AUDIT_LOGITS))
    is_at_hand = params.data.remain == "use"
    train = read_samples(TRAIN, sample_ids=None if is_at_hand else [*wave.forget_ids, *wave.earlier_forget_ids])
    held_out, references = read_samples(half), read_samples(AUDIT_LOGITS)
    sets = choose_audit_sets(wave, train, held_out, references)
    sets_before = choose_audit_sets(wave, train, held_out, references, is_before=True)
    return WaveAudit(
        sets=sets,
        sets_before=sets_before,
        before=audit_model(load_for(params, shape, device, WAVE_BASE), sets_before, params.audit),
        after=audit_model(load_for(params, shape, device, UNLEARNED), sets, params.audit),
        num_references=num_references,
        not_measured=_explain_missing(is_at_hand, num_references),
    )


def _explain_missing(is_at_hand: bool, num_references: int) -> str | None:
    reasons = [] if num_references else ["FT AUC: references.num_audit is 0"]
    if not is_at_hand:
        of_remain = "remain accuracy and confidence" + (", the SVC attack" if not num_references else "")
        reasons.append(f"{of_remain}: data.remain is none")
    return "; ".join(reasons) or None
