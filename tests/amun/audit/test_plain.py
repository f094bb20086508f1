"""The attacks without references: what they say of members, of people never seen, and of too few."""

import numpy as np
import torch
from torch import Tensor

from amun.audit.evaluation import AuditSets, ModelAudit
from amun.audit.plain import compute_confidence_auc, measure_svc_shares
from amun.store.samples import Samples

NUM_CLASSES = 4


def make_samples(count: int) -> Samples:
    names = np.array([f"s{number}" for number in range(count)], dtype=np.str_)
    return Samples(names, names, torch.arange(count) % NUM_CLASSES, torch.empty(count, 0))


def make_logits(count: int, margin: float, seed: int) -> Tensor:
    """Returns logits that are surer of the true label the greater the margin."""
    noise = torch.randn(count, NUM_CLASSES, generator=torch.Generator().manual_seed(seed))
    return noise + margin * torch.nn.functional.one_hot(torch.arange(count) % NUM_CLASSES, NUM_CLASSES)


def make_audit(forget_margin: float, num_forget: int = 100, num_remain: int = 150) -> tuple[AuditSets, ModelAudit]:
    """Returns an audit of a model that is sure of what remains, and less so of what it never saw."""
    sets = AuditSets(make_samples(num_forget), make_samples(num_remain), make_samples(120), None, None)
    logits = (make_logits(num_forget, forget_margin, 1), make_logits(num_remain, 8.0, 2), make_logits(120, 2.0, 3))
    return sets, ModelAudit(*logits, scores=None, accuracy=None)


def test_remembered_samples_are_told_and_forgotten_ones_are_not() -> None:
    remembered, forgotten = make_audit(8.0), make_audit(2.0)
    assert (compute_confidence_auc(*remembered) or 0) > 0.9
    assert abs((compute_confidence_auc(*forgotten) or 0) - 0.5) < 0.1
    assert measure_svc_shares(*remembered)["svc_confidence"] < 0.3
    assert measure_svc_shares(*forgotten)["svc_confidence"] > 0.7


def test_few_samples_of_any_kind_tell_nothing() -> None:
    assert compute_confidence_auc(*make_audit(8.0, num_forget=19)) is None
    assert measure_svc_shares(*make_audit(8.0, num_forget=19)) == {}
    assert measure_svc_shares(*make_audit(8.0, num_remain=0)) == {}
    assert make_audit(8.0)[1].compute_ft_auc() is None
