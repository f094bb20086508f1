"""What a model shows of the people it was to forget: accuracy and the FT AUC on one held-out half."""

from dataclasses import dataclass

from torch import Tensor, nn

from amun.audit.rmia import compute_ratios, score_membership
from amun.audit.roc import compute_auc
from amun.core.params import AuditParams
from amun.evidence.wave import MIN_REPORTED, Wave
from amun.model.training import compute_accuracy, compute_logits
from amun.store.samples import LabelledSamples, Samples


@dataclass(frozen=True)
class AuditSets:
    """The samples an audit looks at, with the audit references' logits of each.

    Attributes:
        forget: the wave's own training samples; nothing is looked at of whoever was forgotten before.
        remain: training samples nobody asked to forget; none where they are not at hand.
        held_out: samples of one held-out half whose people are still held.
        forget_references: logits (N, K, C) by the audit references; None where there are no references.
        held_out_references: likewise.
    """

    forget: LabelledSamples
    remain: LabelledSamples
    held_out: LabelledSamples
    forget_references: Tensor | None
    held_out_references: Tensor | None

    @property
    def num_forget(self) -> int:
        """How many samples the wave forgets."""
        return len(self.forget)

    @property
    def num_samples(self) -> int:
        """How many samples are looked at in all."""
        return len(self.forget) + len(self.remain) + len(self.held_out)


@dataclass(frozen=True)
class MembershipScores:
    """RMIA scores (N,) of the forget samples and of the held-out ones, higher = more likely a member."""

    forget: Tensor
    held_out: Tensor


@dataclass(frozen=True)
class ModelAudit:
    """One model's logits and membership scores on the sets of an audit; no scores where nothing can be scored."""

    forget_logits: Tensor
    remain_logits: Tensor
    held_out_logits: Tensor
    scores: MembershipScores | None
    accuracy: float | None

    def compute_ft_auc(self) -> float | None:
        """Returns the AUC of the forget samples against held-out ones.

        None without references, and below 20 samples of either kind: it would be a few persons' score.
        """
        if self.scores is None or min(len(self.scores.forget), len(self.scores.held_out)) < MIN_REPORTED:
            return None
        return compute_auc(self.scores.forget, self.scores.held_out)


def choose_audit_sets(
    wave: Wave, train: LabelledSamples, held_out: LabelledSamples, references: Samples, *, is_before: bool = False
) -> AuditSets:
    """Returns what to audit: nobody who is gone counts as remaining or held out.

    Args:
        wave: whose people are forgotten.
        train: the training samples.
        held_out: one held-out half.
        references: every sample's logits by the audit references; no samples where there are no references.
        is_before: the held-out half is as it was before the wave, so that the base's figures are those that the last
            wave reported. If its few leavers were out already, their score would follow from the two figures.
    """
    forget = train.select(train.is_among(wave.forget_ids))
    gone_ids = wave.earlier_gone_ids if is_before else wave.gone_ids
    remaining_half = held_out.select(~held_out.is_among(gone_ids))
    return AuditSets(
        forget=forget,
        remain=train.select(~train.is_among(wave.gone_ids)),
        held_out=remaining_half,
        forget_references=references.align(forget.sample_ids.tolist()).payloads if len(references) else None,
        held_out_references=references.align(remaining_half.sample_ids.tolist()).payloads if len(references) else None,
    )


def audit_model(model: nn.Module, sets: AuditSets, params: AuditParams) -> ModelAudit:
    """Returns the model's logits, its accuracy on the held-out half, and membership scores against that half."""
    device = next(model.parameters()).device
    forget_logits, remain_logits, held_out_logits = (
        compute_logits(model, part.image_set(device)) for part in (sets.forget, sets.remain, sets.held_out)
    )
    return audit_logits(sets, forget_logits, remain_logits, held_out_logits, params)


def audit_logits(
    sets: AuditSets, forget_logits: Tensor, remain_logits: Tensor, held_out_logits: Tensor, params: AuditParams
) -> ModelAudit:
    """Returns the audit of a model of which the logits on the sets are known already."""
    return ModelAudit(
        forget_logits=forget_logits,
        remain_logits=remain_logits,
        held_out_logits=held_out_logits,
        scores=_score(sets, forget_logits, held_out_logits, params),
        accuracy=compute_accuracy(held_out_logits, sets.held_out.labels)
        if len(sets.held_out) >= MIN_REPORTED
        else None,
    )


def _score(
    sets: AuditSets, forget_logits: Tensor, held_out_logits: Tensor, params: AuditParams
) -> MembershipScores | None:
    if sets.forget_references is None or sets.held_out_references is None:
        return None
    if not len(sets.forget) or not len(sets.held_out):
        return None

    population = compute_ratios(held_out_logits, sets.held_out_references, sets.held_out.labels, params)
    ratios = compute_ratios(forget_logits, sets.forget_references, sets.forget.labels, params)
    return MembershipScores(
        forget=score_membership(ratios, population, params.gamma),
        held_out=score_membership(population, population, params.gamma),
    )
