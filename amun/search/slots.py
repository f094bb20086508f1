"""The samples that are searched together: one in each of a fixed number of rows, and what was seen of them.

The number of rows never changes, so that a sample's numbers come out the same to the last bit whichever row it is in
and whatever the other rows hold.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from amun.search.geometry import compute_norms, per_sample
from amun.search.margins import compute_margin, is_relabelled

EMPTY = -1


@dataclass(frozen=True)
class Slots:
    """N rows, each with a sample and how far its search has come.

    Attributes:
        positions: (N,) int64, the sample's place in the queue; -1 where the row is empty.
        images: (N, C, H, W) float32 in [0, 1], the samples.
        labels: (N,) int64, their true labels.
        iterates: (N, C, H, W), the points that are looked at next.
        nearest: (N, C, H, W), the nearest adversarial example so far.
        nearest_norms: (N,) L2 distance of `nearest`; infinite where there is none yet.
        margins: (N,) of the samples themselves, once they have been seen.
        num_steps: (N,) int64, steps taken.
        own: what a search keeps for each sample besides, (N, ...) by name.
    """

    positions: Tensor
    images: Tensor
    labels: Tensor
    iterates: Tensor
    nearest: Tensor
    nearest_norms: Tensor
    margins: Tensor
    num_steps: Tensor
    own: Mapping[str, Tensor]

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def is_found(self) -> Tensor:
        """(N,) bool: there is an adversarial example."""
        return self.nearest_norms.isfinite()

    def select(self, rows: Tensor) -> "Slots":
        """Returns some rows, by a mask (N,) or by their numbers."""
        return self._map(lambda column, _: column[rows], self)

    def put(self, rows: Tensor, others: "Slots") -> "Slots":
        """Returns the slots with the rows of these numbers replaced by others."""
        return self._map(lambda column, other: column.index_copy(0, rows, other), others)

    def join(self, others: "Slots") -> "Slots":
        """Returns these rows and then the others."""
        return self._map(lambda column, other: torch.cat([column, other]), others)

    def clear(self, rows: Tensor) -> "Slots":
        """Returns the slots with the rows of a mask (N,) empty."""
        return replace(self, positions=self.positions.masked_fill(rows, EMPTY))

    def move(self, iterates: Tensor, **own: Tensor) -> "Slots":
        """Returns the slots one step later, at other points, with some of the search's own columns replaced."""
        return replace(self, iterates=iterates, num_steps=self.num_steps + 1, own={**self.own, **own})

    def _map(self, function: Callable[[Tensor, Tensor], Tensor], others: "Slots") -> "Slots":
        """Returns slots whose columns are made of this one's and the others'."""
        shared = {
            field.name: function(getattr(self, field.name), getattr(others, field.name))
            for field in fields(self)
            if field.name != "own"
        }
        own = {name: function(column, others.own[name]) for name, column in self.own.items()}
        return replace(self, **shared, own=own)


@dataclass(frozen=True)
class Seen:
    """What one forward and one backward pass have shown of the iterates.

    Attributes:
        logits: (N, K) of the model.
        losses: (N,) what the search lowers: positive where a sample is still labelled right.
        gradients: (N, C, H, W) of the losses.
        slopes: (N,) L2 norms of the gradients.
        norms: (N,) L2 distances of the iterates to their samples.
        is_adversarial: (N,) bool, the model's label is another than the true one, by more than rounding.
        is_nearer: (N,) bool, adversarial and nearer than all before.
    """

    logits: Tensor
    losses: Tensor
    gradients: Tensor
    slopes: Tensor
    norms: Tensor
    is_adversarial: Tensor
    is_nearer: Tensor


def begin_slots(positions: Tensor, images: Tensor, labels: Tensor, own: Mapping[str, Tensor]) -> Slots:
    """Returns slots at their samples, nothing found yet."""
    nothing = torch.full((len(images),), torch.inf, device=images.device)
    num_steps = torch.zeros(len(images), dtype=torch.int64, device=images.device)
    return Slots(positions, images, labels, images, images, nothing, nothing, num_steps, own)


def restore_slots(
    positions: Tensor, images: Tensor, labels: Tensor, nearest: Tensor, nearest_norms: Tensor, margins: Tensor
) -> Slots:
    """Returns slots of samples whose search is over, from the columns that say what was found."""
    begun = begin_slots(positions, images, labels, {})
    return replace(begun, nearest=nearest, nearest_norms=nearest_norms, margins=margins)


def note_nearest(slots: Slots, logits: Tensor, losses: Tensor, gradients: Tensor) -> tuple[Slots, Seen]:
    """Returns the slots with `nearest` brought up to what was seen, and what was seen."""
    norms = compute_norms(slots.iterates - slots.images)
    margins = compute_margin(logits, slots.labels)
    is_adversarial = is_relabelled(margins, logits)
    is_nearer = is_adversarial & (norms < slots.nearest_norms)
    noted = replace(
        slots,
        nearest=torch.where(per_sample(is_nearer, slots.images), slots.iterates, slots.nearest),
        nearest_norms=torch.where(is_nearer, norms, slots.nearest_norms),
        margins=torch.where(slots.num_steps == 0, margins, slots.margins),
    )
    return noted, Seen(logits, losses, gradients, compute_norms(gradients), norms, is_adversarial, is_nearer)
