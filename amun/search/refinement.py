"""The way back: from an adversarial example straight towards its sample, to just behind the boundary."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from amun.search.geometry import compute_norms, per_sample
from amun.search.margins import compute_margin, is_relabelled
from amun.search.slots import Slots

BEYOND = 0.05  # how far beyond a secant's root to look, as a share of what is left of the way to the example


@dataclass(frozen=True)
class Found:
    """What a search has found for N samples, confirmed by the model.

    Attributes:
        positions: (N,) int64, the samples' places in the queue.
        images: (N, C, H, W) float32 in [0, 1], the adversarial examples; the samples where there is none.
        labels: (N,) int64, the model's labels of them.
        delta_norms: (N,) L2 distances to the samples.
        is_found: (N,) bool.
    """

    positions: Tensor
    images: Tensor
    labels: Tensor
    delta_norms: Tensor
    is_found: Tensor

    def select(self, rows: Tensor) -> "Found":
        """Returns some rows, by a mask (N,)."""
        return Found(
            self.positions[rows], self.images[rows], self.labels[rows], self.delta_norms[rows], self.is_found[rows]
        )


def confirm_found(model: nn.Module, done: Slots, num_secants: int, batch_size: int) -> Found:
    """Returns the examples of samples that are done, drawn back to the boundary, with the model's labels of them.

    A secant step starts from two points: the last one that is still labelled right, and the example. It goes to where
    the margin between them would be zero, and a little beyond. The point there replaces one of the two.

    Args:
        model: in eval mode.
        done: up to `batch_size` samples.
        num_secants: steps, each a forward pass; with 0 the examples are confirmed and stay where they are.
        batch_size: rows of each pass.
    """
    nearest = done.nearest
    last = _look(model, nearest, done.labels, batch_size)
    low, high = torch.zeros_like(last.margins), torch.ones_like(last.margins)
    low_margins = done.margins
    for _ in range(num_secants):
        roots = low + (high - low) * low_margins / (low_margins - last.margins)
        shares = torch.lerp(roots, high, BEYOND)
        is_between = done.is_found & (low < shares) & (shares < high)
        if not is_between.any():
            break
        points = torch.lerp(done.images, done.nearest, per_sample(shares, nearest)).clamp(0, 1)
        seen = _look(model, points, done.labels, batch_size)
        is_nearer, is_right = is_between & seen.is_relabelled, is_between & ~seen.is_relabelled
        nearest = torch.where(per_sample(is_nearer, points), points, nearest)
        last, low_margins = seen.choose(is_nearer, last), torch.where(is_right, seen.margins, low_margins)
        high, low = torch.where(is_nearer, shares, high), torch.where(is_right, shares, low)
    return Found(done.positions, nearest, last.labels, compute_norms(nearest - done.images), last.is_relabelled)


@dataclass(frozen=True)
class _Look:
    """What a forward pass shows of N points: margins (N,), the model's labels (N,), whether these are others (N,)."""

    margins: Tensor
    labels: Tensor
    is_relabelled: Tensor

    def choose(self, rows: Tensor, other: "_Look") -> "_Look":
        """Returns these rows where the mask (N,) is true, the other's elsewhere."""
        return _Look(
            torch.where(rows, self.margins, other.margins),
            torch.where(rows, self.labels, other.labels),
            torch.where(rows, self.is_relabelled, other.is_relabelled),
        )


def _look(model: nn.Module, images: Tensor, labels: Tensor, batch_size: int) -> _Look:
    """Returns what the model shows of up to `batch_size` images, in a pass of so many rows."""
    rows = pad(images, [0, 0] * (images.ndim - 1) + [0, batch_size - len(images)])
    logits = model(rows)[: len(images)].float()
    margins = compute_margin(logits, labels)
    return _Look(margins, logits.argmax(1), is_relabelled(margins, logits))


def gather(parts: Iterator[Slots], batch_size: int) -> Iterator[Slots]:
    """Yields samples that come in small parts as batches of `batch_size`; the last one may be smaller."""
    waiting: Slots | None = None
    for part in parts:
        waiting = part if waiting is None else waiting.join(part)
        while len(waiting) >= batch_size:
            yield waiting.select(torch.arange(batch_size))
            waiting = waiting.select(torch.arange(batch_size, len(waiting)))
    if waiting is not None and len(waiting):
        yield waiting
