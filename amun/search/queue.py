"""The queue: samples that are done leave the batch and new ones take their rows, so that the device is always full."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from amun.core.counts import tell_count
from amun.core.errors import AmunError
from amun.core.params import Section
from amun.model.training import evaluating
from amun.search.slots import EMPTY, Seen, Slots, begin_slots, note_nearest


@dataclass(frozen=True)
class Search:
    """One way to look for the nearest adversarial example.

    Attributes:
        name: in `params.yaml`.
        params: the model of its block there.
        begin: returns the search's own columns for N samples that begin, from their labels (N,) and its parameters.
        compute_losses: returns (N,) what the search lowers, from the logits (N, K) and the slots.
        step: one step of all rows: from the slots, what was seen of them and the parameters to the slots one step
            later and (N,) bool, which of them are done.
    """

    name: str
    params: type[Section]
    begin: Callable[[Tensor, Any], dict[str, Tensor]]
    compute_losses: Callable[[Tensor, Slots], Tensor]
    step: Callable[[Slots, Seen, Any], tuple[Slots, Tensor]]


@dataclass(frozen=True)
class Waiting:
    """N samples that wait for a row: their places in the queue (N,), images (N, C, H, W) and labels (N,)."""

    positions: Tensor
    images: Tensor
    labels: Tensor


def run_queue(
    model: nn.Module,
    batches: Iterator[Waiting],
    search: Search,
    params: Any,
    batch_size: int,
    name: Callable[[int], str],
) -> Iterator[Slots]:
    """Yields the samples as they are done, in `nearest` what was found of each.

    Every pass is one of `batch_size` rows, whatever is left: a sample's numbers are the same to the last bit in any
    company.

    Args:
        model: in eval mode, on the device of the images.
        batches: the samples, any number at a time.
        search: what to do with them.
        params: of the search.
        batch_size: rows.
        name: returns the name of the sample at a place in the queue, for the error.

    Raises:
        AmunError: the model's logits of a sample are not finite; the line names it.
    """
    intake = _Intake(batches)
    if not (first := intake.take(1)):
        return
    # all rows hold the first sample; only one of them counts
    slots = _begin(first[0], search, params).select(torch.zeros(batch_size, dtype=torch.int64))
    slots = slots.clear(torch.arange(batch_size, device=slots.positions.device) > 0)
    while True:
        slots = _refill(slots, intake, search, params)
        is_live = slots.positions != EMPTY
        if not is_live.any():
            return
        slots, seen = note_nearest(slots, *evaluate(model, slots, is_live, search))
        _refuse_non_finite(seen.logits, slots, name)
        stepped, is_done = search.step(slots, seen, params)
        # a sample that was labelled wrong from the start is its own example; without a gradient there is no way on
        is_done |= (slots.nearest_norms == 0) | (seen.slopes == 0)
        if (is_done & is_live).any():
            yield stepped.select(is_done & is_live)
        slots = stepped.clear(is_done)


def evaluate(model: nn.Module, slots: Slots, is_live: Tensor, search: Search) -> tuple[Tensor, Tensor, Tensor]:
    """Returns logits (N, K), losses (N,) and their gradients (N, C, H, W): one forward pass, one back to the images.

    Nothing is asked of the rows that only fill up.
    """
    with torch.enable_grad():
        points = slots.iterates.detach().requires_grad_()
        logits = model(points)
        losses = search.compute_losses(logits, slots)
        (gradients,) = torch.autograd.grad(losses, points, is_live.to(losses.dtype))
    return logits.detach().float(), losses.detach(), gradients


@contextmanager
def searching(model: nn.Module) -> Iterator[None]:
    """Holds the model in eval mode, without gradients for its weights; then restores both."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        with evaluating(model), torch.no_grad():
            yield
    finally:
        for parameter in trained:
            parameter.requires_grad_()


class _Intake:
    """Gives out waiting samples, as many at a time as there is room for."""

    def __init__(self, batches: Iterator[Waiting]) -> None:
        self._batches = batches
        self._rest: Waiting | None = None

    def take(self, num_wanted: int) -> list[Waiting]:
        """Returns parts that together hold `num_wanted` samples, or what is left."""
        parts: list[Waiting] = []
        while num_wanted > 0 and (batch := self._rest or next(self._batches, None)):
            num_taken = min(num_wanted, len(batch.labels))
            if num_taken:
                parts.append(_cut(batch, slice(num_taken)))
            left = _cut(batch, slice(num_taken, None))
            self._rest = left if len(left.labels) else None
            num_wanted -= num_taken
        return parts


def _cut(batch: Waiting, part: slice) -> Waiting:
    return Waiting(batch.positions[part], batch.images[part], batch.labels[part])


def _begin(batch: Waiting, search: Search, params: Any) -> Slots:
    return begin_slots(batch.positions, batch.images, batch.labels, search.begin(batch.labels, params))


def _refill(slots: Slots, intake: _Intake, search: Search, params: Any) -> Slots:
    free = (slots.positions == EMPTY).nonzero().squeeze(1)
    for batch in intake.take(len(free)):
        rows, free = free[: len(batch.labels)], free[len(batch.labels) :]
        slots = slots.put(rows, _begin(batch, search, params))
    return slots


def _refuse_non_finite(logits: Tensor, slots: Slots, name: Callable[[int], str]) -> None:
    if logits.isfinite().all():
        return
    is_bad = ~logits.isfinite().all(1) & (slots.positions != EMPTY)
    if is_bad.any():
        names = ", ".join(name(int(position)) for position in slots.positions[is_bad][:5])
        samples = tell_count(int(is_bad.sum()), "sample")
        raise AmunError(
            f"adversarial search: the model's logits are not finite near {samples} ({names}); "
            "check the base model's weights"
        )
