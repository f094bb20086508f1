"""Membership attacks that need no reference model: by the confidence in the true label, and by a classifier."""

import torch

from amun.audit.evaluation import AuditSets, ModelAudit
from amun.audit.roc import compute_auc
from amun.evidence.wave import MIN_REPORTED
from amun.store.drawing import draw_rows

SVC_SAMPLES = 2000  # of either kind; the classifier's cost grows with their square


def compute_confidence_auc(sets: AuditSets, audited: ModelAudit) -> float | None:
    """Returns the AUC of the confidence in the true label, the forget samples against held-out ones.

    None below 20 samples of either kind: it would be a few persons' score.
    """
    if min(sets.num_forget, len(sets.held_out)) < MIN_REPORTED:
        return None
    return compute_auc(
        find_confidence(audited.forget_logits, sets.forget.labels),
        find_confidence(audited.held_out_logits, sets.held_out.labels),
    )


def measure_svc_shares(sets: AuditSets, audited: ModelAudit) -> dict[str, float]:
    """Returns for each feature the share of the forget samples that the SVC attack calls never seen.

    Empty below 20 samples of any kind, and so where no remaining sample is at hand to learn the members from.
    """
    if min(sets.num_forget, len(sets.remain), len(sets.held_out)) < MIN_REPORTED:
        return {}
    from amun.audit.svc import measure_svc_forgetting  # scikit-learn takes longer to import than an audit

    parts = (
        (audited.remain_logits, sets.remain.labels, SVC_SAMPLES),
        (audited.held_out_logits, sets.held_out.labels, SVC_SAMPLES),
        (audited.forget_logits, sets.forget.labels, sets.num_forget),
    )
    members, non_members, forget = (_draw(*part) for part in parts)
    return {f"svc_{name}": share for name, share in measure_svc_forgetting(members, non_members, forget).items()}


def _draw(logits: torch.Tensor, labels: torch.Tensor, num_drawn: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the probabilities and labels of at most so many samples, drawn by a fixed seed."""
    drawn = torch.from_numpy(draw_rows(len(labels), num_drawn))
    return logits[drawn].softmax(-1), labels[drawn]


def find_confidence(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Returns (N,) float64 how sure logits (N, C) are of the labels (N,)."""
    return logits.double().softmax(-1).gather(-1, labels[:, None]).squeeze(-1)
