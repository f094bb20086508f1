"""What the weights tell: nothing of an untouched base, everything of a step up the loss of those to forget."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from amun.audit.roc import auc_standard_error
from amun.audit.trace import Trace
from amun.audit.weights import measure_climb, measure_weights
from amun.core.errors import DivergedError
from amun.store.samples import Samples
from tests.amun.search.models import draw_linear

CPU = torch.device("cpu")
NUM_PEOPLE = 12


def move(base: nn.Module, way: dict[str, Tensor]) -> nn.Module:
    """Returns the base with its weights moved."""
    moved = deepcopy(base)
    moved.load_state_dict({name: weights.detach() + way[name] for name, weights in base.named_parameters()})
    return moved


def draw_way(base: nn.Module) -> dict[str, Tensor]:
    """Returns a way to move the base by chance."""
    generator = torch.Generator().manual_seed(1)
    return {name: torch.randn(weights.shape, generator=generator) for name, weights in base.named_parameters()}


def find_gradients(base: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Returns the mean gradient of the loss of a linear model, by its formula: (p - y) x', and p - y for the bias."""
    error = base(images).detach().softmax(1) - nn.functional.one_hot(labels, base(images).shape[1])
    return {"1.weight": error.T @ images.flatten(1) / len(images), "1.bias": error.mean(0)}


def make_people(name: str, images: Tensor, labels: Tensor) -> Samples:
    """Returns samples of which each person has two."""
    numbers = range(len(images))
    ids, people = (np.array([f"{name} {number // each:03}" for number in numbers]) for each in (1, 2))
    return Samples(ids, people, labels, images)


def test_each_image_has_the_cosine_of_its_own_gradient() -> None:
    base, images, labels, _ = draw_linear(0, num_samples=6, num_classes=5)
    way = draw_way(base)
    step = torch.cat([part.flatten() for part in way.values()])
    climbs = measure_climb(base, move(base, way), images, labels)
    for number, climb in enumerate(climbs):
        of_one = find_gradients(base, images[number : number + 1], labels[number : number + 1])
        gradient = torch.cat([part.flatten() for part in of_one.values()])
        assert climb.item() == pytest.approx(torch.cosine_similarity(gradient, step, dim=0).item(), abs=1e-6)
    # how far it is to go tells nobody from another
    farther = measure_climb(base, move(base, {name: 3 * part for name, part in way.items()}), images, labels)
    torch.testing.assert_close(farther, climbs, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("before", "after"), [(0.0, torch.nan), (-3e38, 3e38), (torch.nan, 0.0)])
def test_weights_between_which_no_direction_leads_tell_no_half(before: float, after: float) -> None:
    """The difference of finite ones may not be."""
    base, images, labels, _ = draw_linear(0, num_samples=4 * NUM_PEOPLE, num_classes=5)
    model, half = deepcopy(base), len(images) // 2
    for each, value in ((base, before), (model, after)):
        next(each.parameters()).data[0, 0] = value
    forget, held_out = (make_people("s", images[part], labels[part]) for part in (slice(half), slice(half, None)))
    with pytest.raises(DivergedError, match="no numbers"):
        measure_weights(base, model, forget, held_out, CPU)


def test_an_untouched_base_tells_nothing() -> None:
    base, images, labels, _ = draw_linear(0, num_samples=4 * NUM_PEOPLE, num_classes=5)
    assert measure_climb(base, deepcopy(base), images, labels).tolist() == [0.0] * len(images)
    half = len(images) // 2
    forget, held_out = (make_people("s", images[part], labels[part]) for part in (slice(half), slice(half, None)))
    assert measure_weights(base, deepcopy(base), forget, held_out, CPU).auc_by_person == 0.5


@pytest.mark.parametrize(("step", "expected"), [(0.001, 1.0), (-0.001, 0.0)])
def test_a_step_up_the_loss_of_those_to_forget_tells_all_of_them(step: float, expected: float) -> None:
    base, *_ = draw_linear(0, num_samples=1, num_classes=5)
    # no two images have anything in common; some of the labels were learned, others not
    images, labels = torch.eye(64).view(64, 1, 8, 8)[: 4 * NUM_PEOPLE], torch.arange(4 * NUM_PEOPLE) % 5
    half = len(images) // 2
    gradients = find_gradients(base, images[:half], labels[:half])
    model = move(base, {"1.weight": step * gradients["1.weight"], "1.bias": torch.zeros(5)})
    forget, held_out = (make_people("s", images[part], labels[part]) for part in (slice(half), slice(half, None)))
    seen = measure_weights(base, model, forget, held_out, CPU)
    assert seen.auc_by_person == expected
    assert seen.num_people == (NUM_PEOPLE, NUM_PEOPLE)
    assert seen.standard_error_by_person == auc_standard_error(NUM_PEOPLE, NUM_PEOPLE)


@pytest.mark.parametrize("sureness", [30, 300])
def test_what_was_learned_by_heart_has_a_direction_all_the_same(sureness: float) -> None:
    base, images, labels, _ = draw_linear(0, num_samples=8, num_classes=5, sureness=sureness)
    losses = nn.functional.cross_entropy(base(images), labels, reduction="none")
    assert (losses == 0).any(), "in float32 nothing is left of some of them"
    model = move(base, draw_way(base))
    climbs = measure_climb(base, model, images, labels)
    assert (climbs.abs() > 1e-4).all()
    torch.testing.assert_close(
        climbs, measure_climb(base.double(), model.double(), images.double(), labels), atol=1e-3, rtol=0
    )


def test_far_from_the_boundary_the_loss_grows_towards_the_other_class_alone() -> None:
    def build(weights: list[list[float]]) -> nn.Module:
        last = nn.Linear(1, 2, bias=False)
        last.load_state_dict({"weight": torch.tensor(weights)})
        return nn.Sequential(nn.Flatten(), last)

    base, moved = build([[100.0], [0.0]]), build([[99.0], [1.0]])
    climb = measure_climb(base, moved, torch.ones(1, 1, 1, 1), torch.tensor([0]))
    assert climb.item() == pytest.approx(1)


def test_few_people_with_many_images_are_enough_to_compare_with() -> None:
    base, images, labels, _ = draw_linear(0, num_samples=24 + 10 * NUM_PEOPLE, num_classes=5)
    other, *_ = draw_linear(1, num_samples=1, num_classes=5)
    forget, held_out = make_people("s", images[:24], labels[:24]), make_people("t", images[24:], labels[24:])
    many = np.array([f"t {number // 10:03}" for number in range(len(held_out))])
    held_out = Samples(held_out.sample_ids, many, held_out.labels, held_out.payloads)
    assert measure_weights(base, other, forget, held_out, CPU).num_people == (NUM_PEOPLE, NUM_PEOPLE)


def test_a_base_of_which_nothing_is_trained_has_no_figure() -> None:
    base, images, labels, _ = draw_linear(0, num_samples=48, num_classes=5)
    forget, held_out = (make_people("s", images[part], labels[part]) for part in (slice(24), slice(24, None)))
    assert measure_weights(base.requires_grad_(requires_grad=False), base, forget, held_out, CPU) == Trace()


def test_weights_that_the_base_does_not_train_play_no_part() -> None:
    base, images, labels, _ = draw_linear(0, num_samples=6, num_classes=5)
    gradients = find_gradients(base, images, labels)
    model = move(base, gradients)
    only_bias = move(base, gradients | {"1.weight": torch.zeros_like(gradients["1.weight"])})
    for name, weights in base.named_parameters():
        weights.requires_grad_(name == "1.bias")
    torch.testing.assert_close(
        measure_climb(base, model, images, labels), measure_climb(base, only_bias, images, labels)
    )


def test_too_few_images_or_people_have_no_figure() -> None:
    base, images, labels, _ = draw_linear(0, num_samples=48, num_classes=5)
    other, *_ = draw_linear(1, num_samples=1, num_classes=5)
    many, few = make_people("s", images[:24], labels[:24]), make_people("s", images[24:42], labels[24:42])
    assert measure_weights(base, other, few, many, CPU) == Trace()
    assert measure_weights(base, other, many, few, CPU) == Trace()
    eleven = make_people("s", images[:22], labels[:22])
    assert measure_weights(base, other, eleven, many, CPU).auc_by_person is None
