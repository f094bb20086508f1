"""Signals: how sure a model is of a sample's true label, from its logits."""

import math

import torch
from torch import Tensor

from amun.core.params import AuditParams


def compute_signals(logits: Tensor, labels: Tensor, params: AuditParams) -> Tensor:
    """Returns the signals (...) float64 of logits (..., C) for labels (...), higher = surer.

    Logits are divided by `params.temperature`. `softmax` is the probability of the label, in [0, 1].
    `taylor_soft_margin` puts a polynomial in the place of the exponential, and takes `params.soft_margin` off the
    label's logit; it may lie outside [0, 1], for the polynomial of odd degree is negative far below zero.

    Args:
        logits: (..., C).
        labels: broadcastable to (...), int64.
        params: the signal and its constants.
    """
    scaled = logits.double() / params.temperature
    at_label = labels.expand(scaled.shape[:-1]).unsqueeze(-1)
    if params.signal == "softmax":
        # torch's own softmax takes four times as long over as few classes as most models have
        exponentials = (scaled - scaled.amax(-1, keepdim=True)).exp()
        return exponentials.gather(-1, at_label).squeeze(-1) / exponentials.sum(-1)
    label_logits = scaled.gather(-1, at_label)
    powers = expand_taylor(scaled, params.taylor_order)
    numerator = expand_taylor(label_logits - params.soft_margin, params.taylor_order)
    others = powers.sum(-1, keepdim=True) - powers.gather(-1, at_label)
    return (numerator / (numerator + others)).squeeze(-1)


def expand_taylor(exponents: Tensor, num_terms: int) -> Tensor:
    """Returns the first `num_terms` terms of the exponential's series: 1 + x + ... + x^(n-1) / (n-1)!, as recorded."""
    return torch.stack([exponents**power / math.factorial(power) for power in range(num_terms)]).sum(0)
