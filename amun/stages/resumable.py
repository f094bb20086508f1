"""A search that may be killed at any instruction: a sample whose search is over is kept at once.

In one process what waits to be confirmed in a full batch, what was missed and what was found lie in folders of their
own, so that only the rows under way, at most one batch, are ever searched again. By shards it is the shards under way.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from amun.core.params import AdversarialParams
from amun.core.progress import Advance
from amun.engine.shards import Engine
from amun.search.catalogue import list_turns, run_search
from amun.search.queue import Waiting
from amun.search.refinement import Found
from amun.search.slots import Slots, restore_slots
from amun.stages.partial import PartialResults
from amun.stages.search_shards import Base, search_by_shards
from amun.store.samples import Samples, StoredSamples, read_in_groups
from amun.vault.seal import Seal


class ResumableSearch:
    """The searches that a set of samples goes through, and what they have found so far."""

    def __init__(self, folder: Path, params: AdversarialParams, device: torch.device, seal: Seal | None) -> None:
        seal = None if seal is None else seal.within(folder.name)
        self.found = _open_results(folder / "found", seal)
        self._turns = [_Turn(search, folder / search, seal) for search in list_turns(params)]
        self._params = params
        self._device = device

    def list_unfinished(self, sample_ids: list[str]) -> list[str]:
        """Returns those that are neither found nor missed by every search."""
        return [one for one in sample_ids if one not in self.found and one not in self._turns[-1].missed]

    def list_missing(self, sample_ids: list[str]) -> list[str]:
        """Returns those that every search has missed."""
        return [one for one in sample_ids if one in self._turns[-1].missed]

    def run(self, model: nn.Module, path: Path, sample_ids: list[str], advance: Advance) -> None:
        """Searches for the samples of these ids in the store file at `path`, from where a killed run was.

        Raises:
            AmunError: the model's logits of a sample are not finite; the line names it.
        """
        for turn in self._turns:
            unfinished = self.list_unfinished(sample_ids)
            self._run_turn(turn, model, path, [one for one in unfinished if one not in turn.missed], advance)

    def run_shards(self, base: Base, samples: StoredSamples, engine: Engine, advance: Advance) -> None:
        """Searches for samples that are not finished, a shard at a time, wherever the engine has it done.

        Raises:
            AmunError: as `search_by_shards`.
        """
        unfinished = np.flatnonzero(samples.is_among(self.list_unfinished(samples.sample_ids.tolist())))
        for num_done in search_by_shards(base, samples.take(unfinished), engine, self._keep):
            for _ in range(num_done):
                advance()

    def _keep(self, found: Samples, missed: Samples) -> None:
        _keep_some(self.found, found)
        _keep_some(self._turns[-1].missed, missed)

    def _run_turn(self, turn: "_Turn", model: nn.Module, path: Path, sample_ids: list[str], advance: Advance) -> None:
        queue = _Queue(path, self._params.batch_size, self._device)
        confirmed = run_search(
            model,
            turn.search,
            queue.feed([one for one in sample_ids if one not in turn.over]),
            self._params,
            queue.name,
            over=turn.restore(queue, [one for one in sample_ids if one in turn.over]),
            keep=lambda done: turn.over.keep(_pack(done, queue)),
        )
        for part in confirmed:
            samples, is_found = queue.describe(part), part.is_found.cpu().numpy()
            _keep_some(self.found, samples.select(is_found))
            _keep_some(turn.missed, samples.select(~is_found))
            for one in samples.sample_ids.tolist():
                if one in self.found or turn is self._turns[-1]:
                    advance()


class _Turn:
    """What one search has come to: samples whose search is over, and which of them turned out to be missed."""

    def __init__(self, search: str, folder: Path, seal: Seal | None) -> None:
        self.search = search
        self.over = _open_results(folder / "over", seal)
        self.missed = _open_results(folder / "missed", seal)

    def restore(self, queue: "_Queue", sample_ids: list[str]) -> Iterator[Slots]:
        """Yields the samples of these ids, whose search is over, as `_pack` kept them."""
        for part in queue.feed(sample_ids):
            kept = self.over.collect([queue.name(position) for position in part.positions.tolist()])
            columns = kept.payloads.to(part.images.device)
            nearest = columns[:, :-2].view_as(part.images)
            yield restore_slots(part.positions, part.images, part.labels, nearest, columns[:, -2], columns[:, -1])


def _open_results(folder: Path, seal: Seal | None) -> PartialResults:
    """Returns the results in a folder, whose files have a context of their own: they are no others by another name."""
    return PartialResults(folder, None if seal is None else seal.within(*folder.parts[-2:]))


class _Queue:
    """Takes samples from a store file into a search, and knows by their place whose they are."""

    def __init__(self, path: Path, num_rows: int, device: torch.device) -> None:
        self._path = path
        self._num_rows = num_rows
        self._device = device
        self._owners: list[tuple[str, str]] = []  # sample and subject at each place

    def name(self, position: int) -> str:
        """Returns the id of the sample at a place."""
        return self._owners[position][0]

    def feed(self, sample_ids: list[str]) -> Iterator[Waiting]:
        """Yields the samples of these ids, a batch at a time."""
        for part in read_among(self._path, sample_ids, self._num_rows):
            first = len(self._owners)
            self._owners.extend(zip(part.sample_ids.tolist(), part.subject_ids.tolist(), strict=True))
            positions = torch.arange(first, len(self._owners), device=self._device)
            yield Waiting(positions, part.images.to(self._device), part.labels.to(self._device))

    def describe(self, found: Found) -> Samples:
        """Returns the examples with their labels and whose they are."""
        return self.own(found.positions, found.labels, found.images)

    def own(self, positions: Tensor, labels: Tensor, payloads: Tensor) -> Samples:
        """Returns what belongs to the samples at these places (N,)."""
        owners = np.array([self._owners[position] for position in positions.tolist()], dtype=np.str_)
        return Samples(owners[:, 0], owners[:, 1], labels.cpu(), payloads.cpu())


def read_among(path: Path, sample_ids: list[str], num_rows: int) -> Iterator[Samples]:
    """Yields the samples at `path` of these ids, up to `num_rows` at a time, in their order there."""
    for chosen in read_in_groups(path, sample_ids=sample_ids):
        for start in range(0, len(chosen), num_rows):
            yield chosen.slice(start, start + num_rows)


def _pack(done: Slots, queue: _Queue) -> Samples:
    """Returns what `restore_slots` needs: (N, pixels + 2), the nearest example, its distance and the margin."""
    columns = [done.nearest.flatten(1), done.nearest_norms[:, None], done.margins[:, None]]
    return queue.own(done.positions, done.labels, torch.cat(columns, 1))


def _keep_some(results: PartialResults, samples: Samples) -> None:
    if len(samples):
        results.keep(samples)
