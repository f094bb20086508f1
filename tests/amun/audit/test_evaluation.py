"""What an audit tells, and what it keeps back because a few people's score would follow from it."""

import torch

from amun.audit.evaluation import MembershipScores, ModelAudit
from amun.evidence.wave import MIN_REPORTED


def make_audit(num_forget: int, num_held_out: int) -> ModelAudit:
    """Returns an audit with scores drawn at random, and no logits."""
    generator = torch.Generator().manual_seed(0)
    empty = torch.empty(0, 10)
    forget_scores, held_out_scores = (torch.rand(count, generator=generator) for count in (num_forget, num_held_out))
    return ModelAudit(empty, empty, empty, MembershipScores(forget_scores, held_out_scores), accuracy=None)


def test_few_samples_of_either_kind_have_no_auc() -> None:
    assert make_audit(MIN_REPORTED - 1, 100).compute_ft_auc() is None
    assert make_audit(100, MIN_REPORTED - 1).compute_ft_auc() is None
    assert make_audit(MIN_REPORTED, MIN_REPORTED).compute_ft_auc() is not None
