"""Directions, balls and planes in the space of images, L2, one per sample."""

import torch
from torch import Tensor

MAX_REFINEMENTS = 32  # of a projection; each fixes pixels that have reached the edge of the box


def compute_norms(vectors: Tensor) -> Tensor:
    """Returns the L2 norms (N,) of vectors (N, ...)."""
    norms: Tensor = torch.linalg.vector_norm(vectors.flatten(1), dim=1)
    return norms


def compute_products(first: Tensor, second: Tensor) -> Tensor:
    """Returns the inner products (N,) of two sets of vectors (N, ...)."""
    return (first * second).flatten(1).sum(1)


def normalise(vectors: Tensor) -> Tensor:
    """Returns vectors (N, ...) of L2 norm 1; a zero vector, which has no direction, stays zero."""
    norms = compute_norms(vectors).clamp_min(torch.finfo(vectors.dtype).tiny)
    return vectors / per_sample(norms, vectors)


def project_to_ball(images: Tensor, centres: Tensor, radii: Tensor) -> Tensor:
    """Returns the images (N, ...) moved into the L2 balls of `radii` (N,) around `centres`, then clamped to [0, 1].

    The centres lie in [0, 1] themselves, so that clamping never leaves the ball.
    """
    offsets = images - centres
    shrinking = (radii / torch.maximum(compute_norms(offsets), radii)).clamp_max(1)
    return (centres + offsets * per_sample(shrinking, offsets)).clamp(0, 1)


def project_to_plane(images: Tensor, normals: Tensor, drops: Tensor) -> Tensor:
    """Returns the nearest points of [0, 1] to `images` at which a linear function lies lower by `drops`.

    They are `clamp(images - t * normals)`: t is raised until the pixels that are still free make up for those at the
    edge. Where the box holds no such point, what comes nearest to it.

    Args:
        images: (N, ...) in [0, 1].
        normals: (N, ...) gradients of the linear functions.
        drops: (N,) by how much each function falls.
    """
    lengths = drops / _avoid_zero(compute_products(normals, normals))
    points = (images - per_sample(lengths, normals) * normals).clamp(0, 1)
    for _ in range(MAX_REFINEMENTS):
        lacking = drops - compute_products(normals, images - points)
        is_short = lacking.abs() > 1e-4 * drops.abs()
        if not is_short.any():
            break
        free = normals * ((points > 0) & (points < 1))
        slopes = compute_products(free, free)
        is_short &= slopes > 0
        if not is_short.any():
            break
        lengths = torch.where(is_short, lengths + lacking / _avoid_zero(slopes), lengths)
        points = (images - per_sample(lengths, normals) * normals).clamp(0, 1)
    return points


def per_sample(values: Tensor, like: Tensor) -> Tensor:
    """Returns the values (N,) shaped (N, 1, ...), so that each applies to the whole of its sample."""
    return values.view(-1, *[1] * (like.ndim - 1))


def _avoid_zero(values: Tensor) -> Tensor:
    return values.clamp_min(torch.finfo(values.dtype).tiny)
