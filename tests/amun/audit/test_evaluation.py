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
    assert make_audit(MIN_REPORTED - 1, 100).compute_ft_auc(MIN_REPORTED - 1) is None
    assert make_audit(100, MIN_REPORTED - 1).compute_ft_auc(100) is None
    assert make_audit(MIN_REPORTED, MIN_REPORTED).compute_ft_auc(MIN_REPORTED) is not None


def test_nested_sets_that_differ_by_a_few_samples_are_not_both_told() -> None:
    audit = make_audit(160, 100)
    judged, own, everything = audit.compute_nested_ft_aucs([150, 150, 155])
    assert judged == own == audit.compute_ft_auc(150)
    assert everything is None
    assert audit.compute_nested_ft_aucs([100, 120])[1] == audit.compute_ft_auc(120)
    assert audit.compute_nested_ft_aucs([100, 119])[1] is None


def test_the_auc_kept_back_would_have_told_the_few() -> None:
    audit = make_audit(155, 100)
    of_few = (155 * (audit.compute_ft_auc(155) or 0) - 150 * (audit.compute_ft_auc(150) or 0)) / 5
    assert audit.scores is not None
    scores = audit.scores.forget[150:]
    pairs = (scores[:, None] > audit.scores.held_out[None, :]).double().mean()
    assert abs(of_few - float(pairs)) < 1e-9
