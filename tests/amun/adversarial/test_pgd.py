"""Algorithm 1: in closed form on linear models, against the recorded figures, and its properties."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from amun.adversarial.pgd import AdversarialExamples
from amun.adversarial.search import find_adversarial
from amun.errors import AmunError
from amun.params import AdversarialParams
from tests.amun.shipped import PARAMS, copy_weights, have_same_weights, load_oracle

NUM_PIXELS = 64
ROUNDING = 1e-5


def search(model: nn.Module, images: Tensor, labels: Tensor, **changes: object) -> AdversarialExamples:
    params: AdversarialParams = PARAMS.adversarial.model_copy(update=changes)
    return find_adversarial(model, images, labels, params=params, sample_ids=[f"id{n}" for n in range(len(images))])


def draw_linear(
    seed: int, num_samples: int, num_classes: int, sureness: float = 1
) -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    """Returns a linear model, images, its labels of them and their distances to the nearest boundary."""
    generator = torch.Generator().manual_seed(seed)
    weight = sureness * torch.randn(num_classes, NUM_PIXELS, generator=generator)
    images = 0.2 + 0.6 * torch.rand(num_samples, NUM_PIXELS, generator=generator)
    bias = -weight @ torch.full((NUM_PIXELS,), 0.5)
    logits = images @ weight.T + bias
    labels = logits.argmax(1)
    gaps = logits.gather(1, labels[:, None]) - logits
    norms = (weight[labels][:, None] - weight).norm(dim=2)
    distances = (gaps / norms).nan_to_num(torch.inf).amin(1)
    return make_linear(weight, bias), images.view(-1, 1, 8, 8), labels, distances


def make_linear(weight: Tensor, bias: Tensor) -> nn.Module:
    """Returns flattening followed by a linear layer with these weights."""
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    linear.load_state_dict({"weight": weight, "bias": bias})
    return nn.Sequential(nn.Flatten(), linear)


def make_recorded_cnn() -> nn.Module:
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(512, 10),
    )
    model.load_state_dict(load_oracle("digits_cnn"))
    return model


def first_radius_beyond(distances: Tensor) -> Tensor:
    radii = PARAMS.adversarial.epsilon * 2.0 ** torch.arange(12)
    return radii[torch.searchsorted(radii, distances)]


@pytest.mark.parametrize("batch_size", [1, 3, 8])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_two_class_linear_model_is_crossed_at_the_nearest_point(batch_size: int, seed: int) -> None:
    model, images, labels, distances = draw_linear(seed, num_samples=8, num_classes=2)
    radii = first_radius_beyond(distances)
    assume(bool(((radii - distances).abs() > ROUNDING).all()))
    found = search(model, images, labels, batch_size=batch_size)
    assert torch.equal(found.labels, 1 - labels)
    assert torch.equal(model(found.images).argmax(1), found.labels)
    torch.testing.assert_close(found.epsilon, radii)
    assert (found.delta_norm >= distances - ROUNDING).all()
    assert (found.delta_norm <= distances + found.epsilon / 10 + ROUNDING).all()
    assert (found.delta_norm <= found.epsilon + ROUNDING).all()


@pytest.mark.parametrize("batch_size", [1, 3, 8])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=5, deadline=None)
def test_linear_model_of_more_classes_is_crossed_within_the_radius(batch_size: int, seed: int) -> None:
    model, images, labels, distances = draw_linear(seed, num_samples=8, num_classes=5)
    found = search(model, images, labels, batch_size=batch_size)
    assert (found.labels != labels).all()
    assert (found.delta_norm >= distances - ROUNDING).all()
    assert (found.delta_norm <= found.epsilon + ROUNDING).all()


def test_a_very_sure_model_is_crossed_at_the_same_point() -> None:
    model, images, labels, distances = draw_linear(0, num_samples=8, num_classes=2, sureness=1000)
    assert model(images).softmax(1).amax() == 1  # the cross-entropy's own gradient is zero there
    found = search(model, images, labels)
    assert (found.delta_norm <= distances + found.epsilon / 10 + ROUNDING).all()


def test_recorded_figures() -> None:
    recorded = load_oracle("algorithm1")
    found = search(make_recorded_cnn(), recorded["images"], recorded["labels"])
    difference = (found.delta_norm - recorded["delta_norm"]).abs()
    assert (difference <= recorded["epsilon"] / 10).all()
    assert found.delta_norm.mean().item() == pytest.approx(recorded["delta_norm"].mean().item(), rel=0.01)
    torch.testing.assert_close(found.delta_norm, (found.images - recorded["images"]).flatten(1).norm(dim=1))
    assert (found.labels == recorded["adversarial_labels"]).float().mean() > 0.95
    assert found.images.min() >= 0
    assert found.images.max() <= 1


def test_a_batch_of_one_finds_what_a_batch_of_eight_finds() -> None:
    recorded = load_oracle("algorithm1")
    images, labels = recorded["images"][:16], recorded["labels"][:16]
    alone, together = (search(make_recorded_cnn(), images, labels, batch_size=size) for size in (1, 8))
    torch.testing.assert_close(alone.images, together.images, rtol=0, atol=1e-3)
    torch.testing.assert_close(alone.epsilon, together.epsilon)


def test_a_permutation_of_the_samples_permutes_the_examples() -> None:
    recorded = load_oracle("algorithm1")
    images, labels = recorded["images"][:16], recorded["labels"][:16]
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    plain = search(make_recorded_cnn(), images, labels)
    permuted = search(make_recorded_cnn(), images[order], labels[order])
    torch.testing.assert_close(permuted.images, plain.images[order], rtol=0, atol=1e-3)
    assert torch.equal(permuted.labels, plain.labels[order])


def test_a_sample_already_wrong_is_its_own_example() -> None:
    model, images, labels, _ = draw_linear(1, num_samples=4, num_classes=2)
    claimed = torch.cat([1 - labels[:2], labels[2:]])
    found = search(model, images, claimed)
    assert torch.equal(found.images[:2], images[:2])
    assert torch.equal(found.labels[:2], labels[:2])
    assert found.delta_norm[:2].tolist() == [0, 0]
    assert found.epsilon[:2].tolist() == [0, 0]
    assert (found.delta_norm[2:] > 0).all()


def test_a_model_that_answers_the_same_everywhere_is_named_with_the_radius() -> None:
    constant = make_linear(torch.zeros(2, NUM_PIXELS), torch.tensor([1.0, 0.0]))
    with pytest.raises(AmunError, match=r"radius 1 .* 2 samples \(id0, id1\)"):
        search(constant, torch.rand(2, 1, 8, 8), torch.zeros(2, dtype=torch.int64), max_epsilon=1.0, num_steps=3)


def test_only_the_samples_without_an_example_are_named() -> None:
    model, images, labels, distances = draw_linear(2, num_samples=8, num_classes=2)
    far = int(distances.argmax())
    between = distances.sort().values[-2:].mean().item()
    with pytest.raises(AmunError, match=rf"1 samples \(id{far}\)"):
        search(model, images, labels, epsilon=between, max_epsilon=between)


def test_the_model_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.BatchNorm2d(1), make_recorded_cnn()).train()
    before = copy_weights(model)
    search(model, load_oracle("algorithm1")["images"][:4], load_oracle("algorithm1")["labels"][:4])
    assert model.training
    assert have_same_weights(before, copy_weights(model))
    assert all(parameter.grad is None for parameter in model.parameters())
