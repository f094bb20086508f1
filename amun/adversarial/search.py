"""The searches by name, and what they share: a queue, the way back to the boundary, Algorithm 1 for what is missed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from amun.adversarial.adaptive_boundary import ADAPTIVE_BOUNDARY
from amun.adversarial.ddn import DDN
from amun.adversarial.fmn import FMN
from amun.adversarial.margin_fmn import MARGIN_FMN
from amun.adversarial.margin_steps import MARGIN_STEPS
from amun.adversarial.pgd import PGD_DOUBLING
from amun.adversarial.queue import Search, Waiting, run_queue, searching
from amun.adversarial.refinement import Found, confirm_found, gather
from amun.errors import AmunError
from amun.params import AdversarialParams

SEARCHES: dict[str, Search] = {
    "pgd_doubling": PGD_DOUBLING,
    "adaptive_boundary": ADAPTIVE_BOUNDARY,
    "margin_steps": MARGIN_STEPS,
    "fmn": FMN,
    "ddn": DDN,
    "margin_fmn": MARGIN_FMN,
}


@dataclass(frozen=True)
class AdversarialExamples:
    """For each sample the nearest image found that the model labels wrongly.

    Attributes:
        images: (N, C, H, W) float32 in [0, 1].
        labels: (N,) int64, the model's own (wrong) labels of them.
        delta_norm: (N,) L2 distance to the sample; 0 where the model is wrong already.
    """

    images: Tensor
    labels: Tensor
    delta_norm: Tensor


def find_adversarial(
    model: nn.Module, images: Tensor, labels: Tensor, *, params: AdversarialParams, sample_ids: Sequence[str]
) -> AdversarialExamples:
    """Returns the adversarial examples that the search named by `params.search` finds.

    Args:
        model: classifier on the device of the images; it is not changed.
        images: (N, C, H, W) float32 in [0, 1].
        labels: (N,) int64 true labels.
        params: the search and its parameters.
        sample_ids: N names for the error.

    Raises:
        AmunError: none was found for some samples, or the model's logits are not finite; the line names them.
    """
    found = search_together(model, images, labels, params, lambda position: sample_ids[position])
    if not found.is_found.all():
        missing = (~found.is_found).nonzero().squeeze(1).tolist()
        raise AmunError(describe_missing([sample_ids[position] for position in missing], params))
    return AdversarialExamples(found.images, found.labels, found.delta_norms)


def search_together(
    model: nn.Module, images: Tensor, labels: Tensor, params: AdversarialParams, name: Callable[[int], str]
) -> Found:
    """Returns what is found for images (N, C, H, W) and labels (N,), in their order, of some perhaps nothing.

    The other arguments and errors are those of `search_stream`.
    """
    positions = torch.arange(len(labels), device=labels.device)
    if not len(labels):
        return Found(positions, images, labels, torch.zeros(0, device=images.device), positions.bool())
    parts = list(search_stream(model, iter([Waiting(positions, images, labels)]), params, name))
    columns = (torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Found))
    found = Found(*columns)
    return found.select(found.positions.argsort())


def search_stream(
    model: nn.Module, batches: Iterator[Waiting], params: AdversarialParams, name: Callable[[int], str]
) -> Iterator[Found]:
    """Yields what is found, up to `params.batch_size` samples at a time, as it comes; not in the queue's order.

    What a fast search misses is searched again by Algorithm 1. What that misses too has `is_found` false.

    Args:
        model: classifier on the device of the batches; it is not changed.
        batches: the samples, any number at a time; no more are taken than there is room for.
        params: the search and its parameters.
        name: returns the name of the sample at a place in the queue, for the error.

    Raises:
        AmunError: the model's logits of a sample are not finite; the line names it.
    """
    size = params.batch_size
    with searching(model):
        is_reference = params.search == "pgd_doubling"
        fast = run_queue(model, batches, SEARCHES[params.search], getattr(params, params.search), size, name)
        missed: list[Waiting] = []
        for done in gather(fast, size):
            found = confirm_found(model, done, 0 if is_reference else params.num_secants, size)
            if is_reference or bool(found.is_found.all()):
                yield found
                continue
            left = done.select(~found.is_found)
            missed.append(Waiting(left.positions, left.images, left.labels))
            yield found.select(found.is_found)
            if sum(len(batch.labels) for batch in missed) >= size:
                yield from _search_again(model, missed, params, name)
                missed = []
        yield from _search_again(model, missed, params, name)


def describe_missing(names: Sequence[str], params: AdversarialParams) -> str:
    """Returns the line that says of which samples no adversarial example was found."""
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return (
        f"adversarial search: no image within L2 radius {params.pgd_doubling.max_epsilon:g} changes the label of "
        f"{len(names)} samples ({shown}), or the model's logits do not change there at all; "
        "raise adversarial.pgd_doubling.max_epsilon or check the model"
    )


def _search_again(
    model: nn.Module, missed: list[Waiting], params: AdversarialParams, name: Callable[[int], str]
) -> Iterator[Found]:
    reference = run_queue(model, iter(missed), PGD_DOUBLING, params.pgd_doubling, params.batch_size, name)
    for done in gather(reference, params.batch_size):
        yield confirm_found(model, done, 0, params.batch_size)
