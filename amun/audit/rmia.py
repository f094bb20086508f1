"""RMIA, the robust membership attack by relative likelihoods, in its online form (arXiv 2312.03262)."""

from collections.abc import Callable

import torch
from torch import Tensor

from amun.audit.signals import compute_signals
from amun.core.params import AuditParams

PART_VALUES = 2**17  # logits of the references that are in hand at once: what a processor keeps close by


def compute_ratios(target_logits: Tensor, reference_logits: Tensor, labels: Tensor, params: AuditParams) -> Tensor:
    """Returns r(x) = P(x | target) / mean over the references of P(x | reference), (N,) float64.

    Args:
        target_logits: (N, C) of the model under audit.
        reference_logits: (N, K, C); each sample was in the training set of half of the K references.
        labels: (N,) int64.
        params: the signal P and its constants.
    """
    num_rows = max(1, PART_VALUES // max(1, reference_logits[:1].numel()))
    columns = (torch.split(column, num_rows) for column in (target_logits, reference_logits, labels))
    return torch.cat(
        [
            compute_signals(target, of, params) / compute_signals(references, of[:, None], params).mean(1)
            for target, references, of in zip(*columns, strict=True)
        ]
    )


def score_membership(ratios: Tensor, population: Tensor, gamma: float) -> Tensor:
    """Returns each sample's share of the population that it beats, (N,) float64; higher = more likely a member.

    A sample with the ratio r(x) beats z where r(x) / r(z) > gamma. As in an AUC, a tie counts one half.

    Args:
        ratios: (N,) r(x).
        population: (M,) r(z) of the samples z that each sample is compared with.
        gamma: by how much x must beat z.

    Note:
        The source does not count ties. A sample of the population meets itself, which is a tie at a gamma of 1. It
        would then score 1 / M lower than a sample just like it outside the population, and the AUC between the two
        would be 1 / (2 M) too high.
    """
    beaten = torch.zeros(len(ratios), dtype=torch.int64, device=ratios.device)
    # a quotient of unlike signs beats nothing
    for is_negative in (False, True):
        chosen, others = (torch.signbit(values) == is_negative for values in (ratios, population))
        against = population[others].abs().sort().values  # what is no number comes last
        of_chosen = ratios[chosen].abs()
        for compare in (torch.gt, torch.ge):
            beaten[chosen] += _count_beaten(of_chosen, against, gamma, compare)
    return beaten.double() / (2 * len(population))


def _count_beaten(ratios: Tensor, ordered: Tensor, gamma: float, compare: Callable[[Tensor, float], Tensor]) -> Tensor:
    """Returns (N,) int64: for how many z the quotient r / z is above gamma, as if every pair were looked at.

    A quotient, rounded as it is, never rises with z: it is above for the smallest z, and from one on no more.

    Args:
        ratios: (N,), none below zero.
        ordered: (M,), rising, none below zero.
        gamma: what quotients are compared with.
        compare: `torch.gt`, or `torch.ge` where a quotient of gamma is to count as well.
    """
    low = torch.zeros(len(ratios), dtype=torch.int64, device=ratios.device)
    high = torch.full_like(low, len(ordered))
    for _ in range(len(ordered).bit_length()):
        middle = (low + high) // 2
        is_above = compare(ratios / ordered[middle.clamp(max=len(ordered) - 1)], gamma)
        is_open = low < high
        low = torch.where(is_open & is_above, middle + 1, low)
        high = torch.where(is_open & ~is_above, middle, high)
    return low
