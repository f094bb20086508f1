"""Gathers what memory left is measured on, from the sample store and the logits of models and references."""

import numpy as np
import torch
from torch import Tensor

from amun.audit.observations import Evidence, Floats
from amun.audit.signals import compute_signals
from amun.core.params import AuditParams
from amun.store.samples import LabelledSamples, Samples


def gather_evidence(
    forget: LabelledSamples, held_out: LabelledSamples, references: Samples, inclusion: Samples, params: AuditParams
) -> Evidence | None:
    """Returns what the references say of the samples to forget, then of the held-out ones; None without references.

    Args:
        forget: tonight's training samples, of tonight's people alone.
        held_out: of one half, those of people who are still held.
        references: logits (N, K, C) of every sample; no samples where there are no references.
        inclusion: (N, K) 1 where the reference was trained on the sample.
        params: the signal and its constants.
    """
    if not len(references):
        return None
    sample_ids = [*forget.sample_ids.tolist(), *held_out.sample_ids.tolist()]
    logits, is_included = (store.align(sample_ids).payloads for store in (references, inclusion))
    labels = torch.cat([forget.labels, held_out.labels])
    return Evidence(
        signals=compute_signals(logits, labels[:, None], params).numpy(),
        inclusion=is_included.numpy().astype(np.bool_),
        subjects=np.concatenate([forget.subject_ids, held_out.subject_ids]),
        is_forget=np.arange(len(labels)) < len(forget),
    )


def compute_model_signals(
    forget_logits: Tensor,
    held_out_logits: Tensor,
    forget: LabelledSamples,
    held_out: LabelledSamples,
    params: AuditParams,
) -> Floats:
    """Returns a model's signals (F + H,) from its logits of the samples to forget (F, C) and held-out ones (H, C)."""
    labels = torch.cat([forget.labels, held_out.labels])
    signals: Floats = compute_signals(torch.cat([forget_logits, held_out_logits]), labels, params).numpy()
    return signals
