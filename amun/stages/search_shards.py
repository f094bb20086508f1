"""The search by shards: several processes, or machines, search at a time, to the bytes that one would come to.

A sample's numbers are the same in any company (`amun/search/queue.py`): it does not matter who is searched with whom.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from amun.core.params import AdversarialParams
from amun.engine.shards import Engine, Shard, map_shards, name_shard
from amun.search.catalogue import search_together
from amun.store.image_sets import HeldImages, ImageSet
from amun.store.samples import Samples, StoredSamples

# a shard's last passes have rows that are empty, so few; and what a killed run has under way is lost, so not too many
BATCHES = 4


@dataclass(frozen=True)
class Base:
    """The model that is searched on, as another process builds it.

    Attributes:
        build: returns it with any weights, for a seed, on the device to search on.
        weights: by name.
        params: of the searches.
    """

    build: Callable[[int], nn.Module]
    weights: dict[str, Tensor]
    params: AdversarialParams


@dataclass(frozen=True)
class Part:
    """Samples of one shard: whoever is sent them gets their images, which others of this machine take from the store.

    Attributes:
        images: (N, C, H, W).
        labels: (N,) int64.
        names: of the N samples, for the error.
    """

    images: ImageSet
    labels: Tensor
    names: list[str]

    def __reduce__(self) -> tuple[Any, ...]:
        """Opens the images, only now that they are sent."""
        images = self.images.to(torch.device("cpu")).read_all()
        return Part, (HeldImages(images, images.device), self.labels, self.names)


@dataclass(frozen=True)
class Searched:
    """What was found for N samples, without tensors, which would go by way of shared memory.

    Attributes:
        is_found: (N,) bool.
        images: (M, C, H, W) float32, the examples that were found.
        labels: (M,) int64, the model's labels of them.
    """

    is_found: npt.NDArray[np.bool_]
    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]


def count_shards(num_samples: int, batch_size: int) -> int:
    """Returns into how many shards so many samples are cut."""
    return -(-num_samples // (BATCHES * batch_size))


def search_by_shards(
    base: Base, samples: StoredSamples, engine: Engine, keep: Callable[[Samples, Samples], None]
) -> Iterator[int]:
    """Yields of how many samples each shard is, as it is done.

    Args:
        base: the model and the searches.
        samples: to search for.
        engine: what searches.
        keep: is given what is found of a shard, and the samples of which nothing is, once it is done.

    Raises:
        AmunError: the model's logits of a sample are not finite, or as `map_shards`.
    """
    size = BATCHES * base.params.batch_size
    parts = [samples.take(np.arange(start, min(start + size, len(samples)))) for start in range(0, len(samples), size)]
    shards = [_describe(part, number) for number, part in enumerate(parts)]
    keeper = _Keeper({shard.name: part for shard, part in zip(shards, parts, strict=True)}, keep)
    for searched in map_shards(_search_part, shards, base, engine, keeper):
        yield len(searched.is_found)


class _Keeper:
    """Hands on what a shard has come to as soon as it is there, in whatever order."""

    def __init__(self, parts: dict[str, StoredSamples], keep: Callable[[Samples, Samples], None]) -> None:
        self._parts, self._keep = parts, keep

    def read(self, _: str) -> Searched | None:
        """Returns nothing: samples that are kept are in no shard."""
        return None

    def keep(self, name: str, result: Searched) -> None:
        """Keeps the examples of a shard, and of whom there is none."""
        part = self._parts[name]
        found, missed = np.flatnonzero(result.is_found), np.flatnonzero(~result.is_found)
        examples = torch.from_numpy(result.images)
        labels = torch.from_numpy(result.labels)
        # of a missed sample nobody asks for the payload
        nothing = examples.new_zeros(len(missed), *examples.shape[1:])
        self._keep(
            Samples(part.sample_ids[found], part.subject_ids[found], labels, examples),
            Samples(part.sample_ids[missed], part.subject_ids[missed], part.labels[torch.from_numpy(missed)], nothing),
        )


def _describe(part: StoredSamples, number: int) -> Shard[Part]:
    names = part.sample_ids.tolist()
    title = f"search {number + 1} (of {names[0]} and others)"
    return Shard(name_shard("search", *names), title, Part(part.images, part.labels, names))


def _search_part(base: Base, part: Part) -> Searched:
    model = base.build(0)
    model.load_state_dict(base.weights)
    device = next(model.parameters()).device
    images, labels = part.images.to(device).read_all(), part.labels.to(device)
    found = search_together(model.eval(), images, labels, base.params, lambda position: part.names[position])
    is_found = found.is_found
    return Searched(is_found.cpu().numpy(), found.images[is_found].cpu().numpy(), found.labels[is_found].cpu().numpy())
