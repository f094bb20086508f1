"""RMIA, the robust membership attack by relative likelihoods, in its online form."""

import torch
from torch import Tensor

from amun.audit.signals import compute_signals
from amun.core.params import AuditParams


def score_rmia_online(target: Tensor, references: Tensor, population: Tensor, gamma: float) -> Tensor:
    """Returns each sample's share of the population that it beats, 0 to 1; higher = more likely a member.

    With the ratio r(x) = P(x | target) / mean over the references of P(x | reference), half of which were trained
    on x, the score of x is the share of population samples z with r(x) / r(z) > gamma.

    Args:
        target: (N,) signals of the target model.
        references: (N, K) signals of the references.
        population: (M,) ratios r(z).
        gamma: by how much x must beat z.
    """
    ratios = compute_ratios(target, references)
    # in chunks, since N x M may not fit into memory
    chunks = [(chunk[:, None] / population > gamma).double().mean(1) for chunk in torch.split(ratios, 256)]
    return torch.cat(chunks)


def compute_ratios(target: Tensor, references: Tensor) -> Tensor:
    """Returns r(x) (N,) from signals of the target (N,) and the references (N, K); the prior is their mean."""
    return target / references.mean(1)


def score_membership(
    *,
    target_logits: Tensor,
    reference_logits: Tensor,
    labels: Tensor,
    population_target_logits: Tensor,
    population_reference_logits: Tensor,
    population_labels: Tensor,
    params: AuditParams,
) -> Tensor:
    """Returns RMIA scores (N,) float64 in [0, 1], higher = more likely a member of the target's training set.

    Args:
        target_logits: (N, C) of the model under audit.
        reference_logits: (N, K, C); each sample was in the training set of half of the K references.
        labels: (N,) int64.
        population_target_logits: (M, C) of the samples z that each sample is compared with; any samples with
            reference logits serve, for a sample among them never beats itself when gamma is 1 or more.
        population_reference_logits: (M, K, C).
        population_labels: (M,) int64.
        params: signal, its constants and gamma.
    """

    def signals(logits: Tensor, references: Tensor, of: Tensor) -> tuple[Tensor, Tensor]:
        return compute_signals(logits, of, params), compute_signals(references, of[:, None], params)

    population = compute_ratios(*signals(population_target_logits, population_reference_logits, population_labels))
    return score_rmia_online(*signals(target_logits, reference_logits, labels), population, params.gamma)
