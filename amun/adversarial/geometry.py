"""Directions and balls in the space of images, L2, one per sample."""

import torch
from torch import Tensor


def compute_norms(vectors: Tensor) -> Tensor:
    """Returns the L2 norms (N,) of vectors (N, ...)."""
    norms: Tensor = torch.linalg.vector_norm(vectors.flatten(1), dim=1)
    return norms


def normalise(vectors: Tensor) -> Tensor:
    """Returns vectors (N, ...) of L2 norm 1; a zero vector, which has no direction, stays zero."""
    norms = compute_norms(vectors).clamp_min(torch.finfo(vectors.dtype).tiny)
    return vectors / _per_sample(norms, vectors)


def project_to_ball(images: Tensor, centres: Tensor, radius: float) -> Tensor:
    """Returns the images (N, ...) moved into the L2 balls around `centres` and then clamped to [0, 1].

    The centres lie in [0, 1] themselves, so that clamping never leaves the ball.
    """
    offsets = images - centres
    shrinking = (radius / compute_norms(offsets).clamp_min(radius)).clamp_max(1)
    return (centres + offsets * _per_sample(shrinking, offsets)).clamp(0, 1)


def _per_sample(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *[1] * (like.ndim - 1))
