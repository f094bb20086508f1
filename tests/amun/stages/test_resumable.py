"""A search that dies at any pass: of what was begun at most one batch is searched again, to the same bytes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from amun.core.params import AdversarialParams
from amun.stages.resumable import ResumableSearch
from amun.store.samples import Samples, write_samples
from tests.amun.search.models import choose_search, make_recorded_cnn
from tests.amun.shipped import PARAMS, load_oracle

SIZE, NUM_SAMPLES, NUM_DEATHS = 4, 18, 25
RECORDED = load_oracle("algorithm1")
IMAGES, LABELS = RECORDED["images"][:NUM_SAMPLES], RECORDED["labels"][:NUM_SAMPLES]
IDS = [f"id{number:02}" for number in range(NUM_SAMPLES)]
SHORT = PARAMS.adversarial.get_block("pgd_doubling").model_copy(update={"num_steps": 5})
HOPELESS = PARAMS.adversarial.get_block("margin_steps").model_copy(update={"num_steps": 1})  # Algorithm 1 finishes many


class DiedError(Exception):
    """The process is gone."""


class Mortal(nn.Module):
    """A model that dies in its last pass, and counts how often each sample was looked at as it is."""

    def __init__(self, last_pass: int | None = None) -> None:
        super().__init__()
        self.model = make_recorded_cnn()
        self.num_passes = 0
        self.last_pass = last_pass
        self.num_looks = torch.zeros(NUM_SAMPLES, dtype=torch.int64)

    def forward(self, images: Tensor) -> Tensor:
        """Returns the model's logits."""
        self.num_passes += 1
        logits: Tensor = self.model(images)
        if logits.requires_grad:
            is_sample = (images.detach()[:, None] == IMAGES).flatten(2).all(2)
            logits.register_hook(lambda gradients: self._end_pass(is_sample[(gradients != 0).any(1)]))  # type: ignore[no-untyped-call]
        else:
            self._end_pass(torch.zeros(0, NUM_SAMPLES))
        return logits

    def _end_pass(self, is_sample: Tensor) -> None:
        self.num_looks += is_sample.sum(0).long()
        if self.num_passes == self.last_pass:
            raise DiedError


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store file of the samples."""
    write_samples(tmp_path / "train.parquet", Samples(np.array(IDS), np.array(IDS), LABELS, IMAGES), seal=None)
    return tmp_path / "train.parquet"


def search(model: nn.Module, store: Path, folder: Path, params: AdversarialParams) -> ResumableSearch:
    """Runs the search in a folder and returns it."""
    resumable = ResumableSearch(folder, params, torch.device("cpu"), seal=None)
    resumable.run(model, store, IDS, lambda _="": None)
    return resumable


@pytest.mark.parametrize("name", ["adaptive_boundary", "margin_steps", "pgd_doubling"])
def test_at_most_one_batch_is_searched_again_wherever_it_dies(name: str, store: Path) -> None:
    params = choose_search(name, batch_size=SIZE, margin_steps=HOPELESS, pgd_doubling=SHORT)
    whole = Mortal()
    expected = search(whole, store, store.parent / "whole", params).found.collect(IDS)
    most_again = 0
    for last_pass in np.linspace(1, whole.num_passes, min(NUM_DEATHS, whole.num_passes)).astype(int).tolist():
        folder = store.parent / str(last_pass)
        dying, heir = Mortal(last_pass), Mortal()
        with pytest.raises(DiedError):
            search(dying, store, folder, params)
        resumed = search(heir, store, folder, params).found.collect(IDS)
        assert torch.equal(resumed.payloads, expected.payloads)
        assert torch.equal(resumed.labels, expected.labels)
        num_again = int((dying.num_looks + heir.num_looks > whole.num_looks).sum())
        most_again = max(most_again, num_again)
    assert most_again == SIZE
