"""A search by shards comes to the bytes of one that is not, whoever searches, and loses no shard that is done."""

import pickle
from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from amun.core.errors import AmunError
from amun.core.params import AdversarialParams
from amun.engine.local import LocalEngine
from amun.engine.shards import Engine, Result, Shard, Shared, Work
from amun.model.weights import copy_weights
from amun.stages.resumable import ResumableSearch
from amun.stages.search_shards import BATCHES, Base, Part, count_shards
from amun.store.opening import SampleOpener
from amun.store.samples import Samples, StoredSamples, write_samples
from tests.amun.search.models import choose_search, make_recorded_cnn
from tests.amun.shipped import PARAMS, load_oracle

CPU = torch.device("cpu")
SIZE, NUM_SAMPLES = 4, 40
RECORDED = load_oracle("algorithm1")
IMAGES, LABELS = (RECORDED[name][:NUM_SAMPLES] for name in ("images", "labels"))
IDS = [f"id{number:02}" for number in range(len(LABELS))]
SHORT = PARAMS.adversarial.get_block("pgd_doubling").model_copy(update={"num_steps": 3, "max_epsilon": 0.7})
HOPELESS = PARAMS.adversarial.get_block("margin_steps").model_copy(update={"num_steps": 1})
SEARCH = choose_search("margin_steps", batch_size=SIZE, margin_steps=HOPELESS, pgd_doubling=SHORT)


class DiedError(Exception):
    """The process is gone."""


class Mortal:
    """An engine that dies after some shards, which it has done last to first."""

    shares_files = True

    def __init__(self, num_done: int) -> None:
        self._num_done = num_done
        self.num_asked = 0

    def run(
        self, function: Callable[[Shared, Work], Result], shards: Sequence[Shard[Work]], shared: Shared
    ) -> Generator[tuple[int, Result], None, None]:
        """Yields what is done."""
        self.num_asked = len(shards)
        for place in list(range(len(shards)))[::-1][: self._num_done]:
            yield place, function(shared, shards[place].work)
        raise DiedError


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store file of the samples, as bytes."""
    pixels = (IMAGES * 255).round().to(torch.uint8)
    write_samples(tmp_path / "train.parquet", Samples(np.array(IDS), np.array(IDS), LABELS, pixels), seal=None)
    return tmp_path / "train.parquet"


def build(_: int) -> nn.Module:
    """Returns a model with weights of its own."""
    model = make_recorded_cnn()
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    return model


def open_samples(store: Path) -> StoredSamples:
    return SampleOpener(PARAMS.runtime, CPU).open(store)


def search(store: Path, name: str, engine: Engine, params: AdversarialParams = SEARCH) -> ResumableSearch:
    """Searches for all samples by shards, and returns what has come of it."""
    resumable = ResumableSearch(store.parent / name, params, CPU, seal=None)
    base = Base(build, copy_weights(make_recorded_cnn()), params)
    told: list[str] = []
    resumable.run_shards(base, open_samples(store), engine, partial(told.append, ""))
    assert len(told) == len(IDS)
    return resumable


def search_here(store: Path) -> ResumableSearch:
    """Searches for them without shards."""
    resumable = ResumableSearch(store.parent / "here", SEARCH, CPU, seal=None)
    resumable.run(make_recorded_cnn(), store, IDS, lambda _="": None)
    return resumable


def read(resumable: ResumableSearch) -> tuple[list[str], Tensor, Tensor]:
    """Returns the samples that have no example, and the examples of all others with their labels."""
    missing = resumable.list_missing(IDS)
    found = resumable.found.collect([one for one in IDS if one not in missing])
    return missing, found.payloads, found.labels


@pytest.mark.parametrize("num_processes", [1, 3])
def test_shards_come_to_the_same_bytes(num_processes: int, store: Path) -> None:
    missing, images, labels = read(search_here(store))
    assert 0 < len(missing) < len(IDS), "some are found, by the second search, and some are not"
    by_shards = read(search(store, "shards", LocalEngine(num_processes)))
    assert by_shards[0] == missing
    assert torch.equal(by_shards[1], images)
    assert torch.equal(by_shards[2], labels)


def test_a_shard_that_is_done_is_not_searched_again(store: Path) -> None:
    first, second = Mortal(1), Mortal(9)
    resumable = ResumableSearch(store.parent / "killed", SEARCH, CPU, seal=None)
    base = Base(build, copy_weights(make_recorded_cnn()), SEARCH)
    with pytest.raises(DiedError):
        resumable.run_shards(base, open_samples(store), first, lambda _="": None)
    heir = ResumableSearch(store.parent / "killed", SEARCH, CPU, seal=None)
    heir.run_shards(base, open_samples(store), second, lambda _="": None)
    assert (first.num_asked, second.num_asked) == (3, 2), "the last shard of eight samples was kept"
    assert heir.list_unfinished(IDS) == []
    assert torch.equal(read(heir)[1], read(search_here(store))[1])


def test_whoever_is_sent_a_part_gets_its_images(store: Path) -> None:
    samples = open_samples(store).take(np.array([7, 2]))
    sent = pickle.loads(pickle.dumps(Part(samples.images, samples.labels, samples.sample_ids.tolist())))  # noqa: S301 - of this process
    assert sent.images.shape[0] == 2, "no other sample's"
    assert torch.equal(sent.images.read_all(), samples.images.read_all())
    assert (sent.labels.tolist(), sent.names) == (samples.labels.tolist(), ["id07", "id02"])


def test_a_sample_whose_logits_are_not_finite_is_named(store: Path) -> None:
    weights = {name: tensor * torch.nan for name, tensor in copy_weights(make_recorded_cnn()).items()}
    resumable = ResumableSearch(store.parent / "damaged", SEARCH, CPU, seal=None)
    with pytest.raises(AmunError, match=r"logits are not finite near 4 samples \(id00, id01, id02, id03\)"):
        resumable.run_shards(Base(build, weights, SEARCH), open_samples(store), LocalEngine(), lambda _="": None)


def test_few_samples_are_one_shard() -> None:
    assert [count_shards(number, SIZE) for number in (0, 1, BATCHES * SIZE, BATCHES * SIZE + 1)] == [0, 1, 1, 2]
