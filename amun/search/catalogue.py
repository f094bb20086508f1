"""The searches by name, and what they share: a queue, the way back to the boundary, Algorithm 1 for what is missed."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain

import torch
from torch import Tensor, nn

from amun.core.counts import tell_count
from amun.core.discovery import find_declared
from amun.core.errors import AttemptError
from amun.core.params import AdversarialParams, parse_part
from amun.search.queue import Search, Waiting, run_queue, searching
from amun.search.refinement import Found, confirm_found, gather
from amun.search.slots import Slots

REFERENCE = "pgd_doubling"

# one for each file that declares one
SEARCHES = {search.name: search for search in find_declared("amun.search", Search)}


def check_blocks(params: AdversarialParams) -> AdversarialParams:
    """Returns the parameters with each search's block as its model.

    Raises:
        ValueError: a search is unknown, one that may run has no block, or a block has a key that is unknown, missing
            or mistyped.
    """
    blocks = params.model_extra or {}
    if params.search not in SEARCHES:
        raise ValueError(f"adversarial.search: unknown search '{params.search}'; known are {', '.join(SEARCHES)}")
    for name in blocks:
        if name not in SEARCHES:
            raise ValueError(f"adversarial.{name}: unknown key; remove it or correct its spelling")
    for name in list_turns(params):
        if name not in blocks:
            raise ValueError(f"adversarial.{name}: missing; every search that may run needs its block")
    checked = {name: parse_part(SEARCHES[name].params, blocks[name], "adversarial", name) for name in blocks}
    return params.model_copy(update=checked)


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
        AttemptError: none was found for some samples; the line names them.
        AmunError: the model's logits are not finite, likewise.
    """
    found = search_together(model, images, labels, params, lambda position: sample_ids[position])
    if not found.is_found.all():
        missing = (~found.is_found).nonzero().squeeze(1).tolist()
        raise AttemptError(describe_missing([sample_ids[position] for position in missing], params))
    return AdversarialExamples(found.images, found.labels, found.delta_norms)


def search_together(
    model: nn.Module, images: Tensor, labels: Tensor, params: AdversarialParams, name: Callable[[int], str]
) -> Found:
    """Returns what is found for images (N, C, H, W) and labels (N,), in their order, of some perhaps nothing.

    What a fast search misses is searched again by Algorithm 1. The other arguments and errors are those of
    `run_search`.
    """
    positions = torch.arange(len(labels), device=labels.device)
    parts = [Found(positions[:0], images[:0], labels[:0], torch.zeros(0, device=images.device), positions[:0].bool())]
    left = positions
    for search in list_turns(params):
        parts = [part.select(part.is_found) for part in parts]
        batches = iter([Waiting(left, images[left], labels[left])])
        parts += list(run_search(model, search, batches, params, name))
        left = torch.cat([part.positions[~part.is_found] for part in parts])
        if not len(left):
            break
    columns = (torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Found))
    found = Found(*columns)
    return found.select(found.positions.argsort())


def list_turns(params: AdversarialParams) -> list[str]:
    """Returns the searches that a sample goes through until one finds something: the chosen one, then Algorithm 1."""
    return list(dict.fromkeys([params.search, REFERENCE]))


def run_search(
    model: nn.Module,
    search: str,
    batches: Iterator[Waiting],
    params: AdversarialParams,
    name: Callable[[int], str],
    *,
    over: Iterable[Slots] = (),
    keep: Callable[[Slots], None] | None = None,
) -> Iterator[Found]:
    """Yields what one search finds, `params.batch_size` samples at a time, as it comes; not in the queue's order.

    Where it finds nothing `is_found` is false.

    Args:
        model: classifier on the device of the batches; it is not changed.
        search: its name.
        batches: the samples, any number at a time; no more are taken than there is room for.
        params: of all searches.
        name: returns the name of the sample at a place in the queue, for the error.
        over: samples whose search was over before, and that only wait to be confirmed.
        keep: is given each part whose search is over, before it waits to be confirmed.

    Raises:
        AmunError: the model's logits of a sample are not finite; the line names it.
    """
    size, num_secants = params.batch_size, 0 if search == REFERENCE else params.num_secants
    with searching(model):
        queue = run_queue(model, batches, SEARCHES[search], params.get_block(search), size, name)
        for done in gather(chain(over, _note(queue, keep)), size):
            yield confirm_found(model, done, num_secants, size)


def _note(queue: Iterator[Slots], keep: Callable[[Slots], None] | None) -> Iterator[Slots]:
    for part in queue:
        done = replace(part, own={})
        if keep is not None:
            keep(done)
        yield done


def describe_missing(names: Sequence[str], params: AdversarialParams) -> str:
    """Returns the line that says of which samples no adversarial example was found."""
    radius = params.get_block(REFERENCE).max_epsilon
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return (
        f"adversarial search: no image within L2 radius {radius:g} changes the label of "
        f"{tell_count(len(names), 'sample')} ({shown}), or the model's logits do not change there at all; "
        "raise adversarial.pgd_doubling.max_epsilon or check the model"
    )
