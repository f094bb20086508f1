"""Every search: its examples are examples, in any company the same; the default's are the nearest of linear models."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from amun.core.errors import AmunError
from amun.search.catalogue import SEARCHES
from amun.store.samples import Samples, read_samples, write_samples
from tests.amun.search.models import (
    NUM_PIXELS,
    choose_search,
    draw_linear,
    find,
    make_linear,
    make_recorded_cnn,
)
from tests.amun.shipped import PARAMS, copy_weights, have_same_weights, load_oracle

FAST = sorted(set(SEARCHES) - {"pgd_doubling"})
NUM_LARGE = 3 * 32 * 32
CNN = make_recorded_cnn()
RECORDED = load_oracle("algorithm1")
IMAGES, LABELS = RECORDED["images"][:20], RECORDED["labels"][:20]


def draw_large_linear(seed: int, num_classes: int, distance: float) -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    """Returns a linear model of 3,072 pixels, four images, their labels and the distances to the nearest boundary.

    The first image lies at `distance` from the boundary, and all nearest points inside the box.
    """
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randint(0, 2, (num_classes, NUM_LARGE), generator=generator) * 2.0 - 1
    images = 0.48 + 0.04 * torch.rand(4, NUM_LARGE, generator=generator)
    norms = (weight[0] - weight).norm(dim=1)
    spread = 1 + torch.rand(num_classes, generator=generator)
    spread[torch.randint(1, num_classes, (), generator=generator)] = 1
    gaps = distance * spread * norms
    bias = -weight @ images[0] - gaps
    bias[0] = -(weight[0] @ images[0])
    logits = images.double() @ weight.T.double() + bias.double()
    labels = logits.argmax(1)
    all_norms = (weight[labels][:, None] - weight).norm(dim=2)
    gaps_found = logits.gather(1, labels[:, None]) - logits
    distances = (gaps_found / all_norms).nan_to_num(torch.inf).amin(1).float()
    return make_linear(weight, bias), images.view(-1, 3, 32, 32), labels, distances


@pytest.mark.parametrize("num_classes", [2, 10])
@given(seed=st.integers(0, 2**32), exponent=st.floats(-3, 1))
@settings(max_examples=15, deadline=None)
def test_nearest_point_of_a_linear_model(num_classes: int, seed: int, exponent: float) -> None:
    model, images, labels, distances = draw_large_linear(seed, num_classes, 10**exponent)
    assert distances[0].item() == pytest.approx(10**exponent, rel=0.01)
    found = find(model, images[:1], labels[:1], choose_search("adaptive_boundary", batch_size=4))
    assert distances[0] * 0.999 <= found.delta_norm[0] <= distances[0] * 1.01


@pytest.mark.parametrize("search", FAST)
@given(seed=st.integers(0, 2**32), num_classes=st.integers(2, 6))
@settings(max_examples=6, deadline=None)
def test_no_search_claims_to_be_nearer_than_the_boundary(search: str, seed: int, num_classes: int) -> None:
    model, images, labels, distances = draw_linear(seed, num_samples=8, num_classes=num_classes)
    found = find(model, images, labels, choose_search(search, batch_size=3))
    assert (found.labels != labels).all()
    assert (found.delta_norm >= distances * 0.999).all()
    assert (found.delta_norm <= distances * 3 + PARAMS.adversarial.get_block("pgd_doubling").epsilon).all()


@pytest.mark.parametrize("search", SEARCHES)
def test_examples_stay_examples_in_the_store(search: str, tmp_path: Path) -> None:
    found = find(CNN, IMAGES, LABELS, choose_search(search))
    names = np.array([f"id{number}" for number in range(len(IMAGES))])
    write_samples(tmp_path / "found.parquet", Samples(names, names, found.labels, found.images), seal=None)
    stored = read_samples(tmp_path / "found.parquet").images
    assert torch.equal(CNN(stored).argmax(1), found.labels)
    assert (found.labels != LABELS).all()
    assert stored.min() >= 0
    assert stored.max() <= 1
    torch.testing.assert_close(found.delta_norm, (stored - IMAGES).flatten(1).norm(dim=1))


@pytest.mark.parametrize("search", SEARCHES)
def test_a_sample_has_the_same_bytes_in_any_company(search: str) -> None:
    params = choose_search(search, batch_size=8)
    together = find(CNN, IMAGES, LABELS, params)
    order = torch.randperm(len(IMAGES), generator=torch.Generator().manual_seed(0))
    permuted = find(CNN, IMAGES[order], LABELS[order], params)
    few = find(CNN, IMAGES[17:], LABELS[17:], params)
    assert torch.equal(permuted.images, together.images[order])
    assert torch.equal(few.images, together.images[17:])
    assert torch.equal(few.labels, together.labels[17:])


@pytest.mark.parametrize("search", SEARCHES)
def test_batch_sizes_agree(search: str) -> None:
    small, large = (find(CNN, IMAGES[:6], LABELS[:6], choose_search(search, batch_size=size)) for size in (1, 8))
    assert (CNN(small.images).argmax(1) != LABELS[:6]).all()
    difference = (small.delta_norm - large.delta_norm).abs()
    assert (difference <= PARAMS.adversarial.get_block("pgd_doubling").epsilon / 10).all()


@pytest.mark.parametrize("search", SEARCHES)
def test_examples_stay_examples_in_a_batch_of_another_size(search: str) -> None:
    found = find(CNN, IMAGES, LABELS, choose_search(search))
    for size in (1, 2, 7):
        labels = torch.cat([CNN(batch).argmax(1) for batch in torch.split(found.images, size)])
        assert torch.equal(labels, found.labels)


def test_the_fast_search_is_nearer_than_algorithm_1() -> None:
    nearest = find(CNN, RECORDED["images"], RECORDED["labels"], choose_search("adaptive_boundary"))
    assert nearest.delta_norm.mean() < 0.95 * RECORDED["delta_norm"].mean()


def test_what_a_fast_search_misses_is_found_by_algorithm_1() -> None:
    hopeless = PARAMS.adversarial.get_block("margin_steps").model_copy(update={"num_steps": 1, "overshoot": 1e-9})
    found = find(CNN, IMAGES, LABELS, choose_search("margin_steps", margin_steps=hopeless, batch_size=8))
    reference = find(CNN, IMAGES, LABELS, choose_search("pgd_doubling", batch_size=8))
    is_finished = (found.images == reference.images).flatten(1).all(1)
    assert 0 < is_finished.sum() < len(IMAGES)
    assert (found.labels != LABELS).all()


@pytest.mark.parametrize("search", SEARCHES)
def test_a_sample_already_wrong_is_its_own_example(search: str) -> None:
    model, images, labels, _ = draw_linear(1, num_samples=4, num_classes=2)
    claimed = torch.cat([1 - labels[:2], labels[2:]])
    found = find(model, images, claimed, choose_search(search))
    assert torch.equal(found.images[:2], images[:2])
    assert torch.equal(found.labels[:2], labels[:2])
    assert found.delta_norm[:2].tolist() == [0, 0]
    assert (found.delta_norm[2:] > 0).all()


@pytest.mark.parametrize("search", SEARCHES)
def test_a_model_that_answers_the_same_everywhere_ends_with_the_names(search: str) -> None:
    constant = make_linear(torch.zeros(3, NUM_PIXELS), torch.tensor([1.0, 0.0, 0.0]))
    with pytest.raises(AmunError, match=r"2 samples \(id0, id1\)"):
        find(constant, torch.rand(2, 1, 8, 8), torch.zeros(2, dtype=torch.int64), choose_search(search))


@pytest.mark.parametrize("search", SEARCHES)
def test_a_saturated_softmax_hides_nothing(search: str) -> None:
    model, images, labels, distances = draw_linear(0, num_samples=8, num_classes=2, sureness=1000)
    assert model(images).softmax(1).amax() == 1
    found = find(model, images, labels, choose_search(search))
    assert (found.delta_norm <= distances * 1.5 + 0.02).all()


@pytest.mark.parametrize("search", SEARCHES)
def test_logits_that_are_no_numbers_end_with_the_name(search: str) -> None:
    model, images, labels, _ = draw_linear(3, num_samples=4, num_classes=2)
    broken = images.clone()
    broken[2, 0, 0, 0] = math.nan
    with pytest.raises(AmunError, match=r"not finite near 1 sample \(id2\)"):
        find(model, broken, labels, choose_search(search))


def test_no_sample_no_example() -> None:
    found = find(CNN, IMAGES[:0], LABELS[:0], choose_search("adaptive_boundary"))
    assert len(found.images) == len(found.labels) == len(found.delta_norm) == 0


@pytest.mark.parametrize("search", SEARCHES)
def test_the_model_is_left_as_it_was(search: str) -> None:
    model = nn.Sequential(nn.BatchNorm2d(1), make_recorded_cnn()).train()
    before = copy_weights(model)
    find(model, IMAGES[:4], LABELS[:4], choose_search(search))
    assert model.training
    assert have_same_weights(before, copy_weights(model))
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
