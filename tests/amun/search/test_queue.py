"""The queue: full rows, and one pass for each look."""

import pytest
import torch
from torch import Tensor, nn

from amun.search.catalogue import SEARCHES
from amun.search.pgd import PGD_DOUBLING
from amun.search.queue import Waiting, run_queue, searching
from tests.amun.search.models import choose_search, draw_linear, find, make_recorded_cnn
from tests.amun.shipped import PARAMS, load_oracle

SIZE = 4
RECORDED = load_oracle("algorithm1")
IMAGES, LABELS = RECORDED["images"][:16], RECORDED["labels"][:16]


class Watched(nn.Module):
    """A model that notes how it is used."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.dropout = nn.Dropout(0.9)
        self.num_rows: list[int] = []
        self.num_backward = 0

    def forward(self, images: Tensor) -> Tensor:
        """Returns the model's logits."""
        assert not self.training
        assert not any(parameter.requires_grad for parameter in self.parameters())
        self.num_rows.append(len(images))
        logits: Tensor = self.dropout(self.model(images))
        assert logits.dtype == torch.float32
        if logits.requires_grad:
            logits.register_hook(self._count)  # type: ignore[no-untyped-call]
        return logits

    def _count(self, _: Tensor) -> None:
        self.num_backward += 1


@pytest.mark.parametrize("search", SEARCHES)
def test_a_look_is_one_pass_of_full_rows_in_eval_mode_and_asks_nothing_of_weights(search: str) -> None:
    model = Watched(make_recorded_cnn()).train()
    found = find(model, IMAGES, LABELS, choose_search(search, batch_size=SIZE))
    assert set(model.num_rows) == {SIZE}
    num_batches = len(IMAGES) // SIZE
    num_confirming = num_batches * (1 + (search != "pgd_doubling") * PARAMS.adversarial.num_secants)
    num_without_gradient = len(model.num_rows) - model.num_backward
    assert num_batches <= num_without_gradient <= 2 * num_confirming  # more where Algorithm 1 finished some
    assert model.training
    assert (make_recorded_cnn()(found.images).argmax(1) == found.labels).all()


def test_cost_follows_the_sum_of_the_steps_and_not_the_slowest_of_each_batch() -> None:
    model, images, labels, distances = draw_linear(0, num_samples=64, num_classes=2)
    order = distances.argsort()
    mixed = torch.stack([order[:16], order[-16:]], 1).flatten()  # near and far by turns
    watched = Watched(model)
    batches = iter([Waiting(torch.arange(32), images[mixed], labels[mixed])])
    with searching(watched):
        done = list(run_queue(watched, batches, PGD_DOUBLING, PARAMS.adversarial.get_block("pgd_doubling"), SIZE, str))
    num_steps = torch.cat([part.num_steps for part in done])[torch.cat([part.positions for part in done]).argsort()]
    num_passes = len(watched.num_rows)
    assert num_passes < num_steps.view(-1, SIZE).amax(1).sum()
    assert num_passes <= num_steps.sum() / SIZE + num_steps.max()
