"""Algorithm 1: in closed form on linear models, and against the recorded figures."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from amun.core.errors import AmunError
from amun.search.pgd import PGD_DOUBLING
from amun.search.queue import Waiting, run_queue, searching
from tests.amun.search.models import NUM_PIXELS, choose_search, draw_linear, find, make_linear, make_recorded_cnn
from tests.amun.shipped import PARAMS, load_oracle

ROUNDING = 1e-5
PGD = PARAMS.adversarial.get_block("pgd_doubling")
ALGORITHM_1 = choose_search("pgd_doubling")


def find_radii(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Returns the last radii (N,) of Algorithm 1."""
    batches = iter([Waiting(torch.arange(len(labels)), images, labels)])
    with searching(model):
        done = list(run_queue(model, batches, PGD_DOUBLING, PGD, 64, str))
    order = torch.cat([part.positions for part in done]).argsort()
    return torch.cat([part.own["radii"] for part in done])[order]


def first_radius_beyond(distances: Tensor) -> Tensor:
    radii: Tensor = PGD.epsilon * 2.0 ** torch.arange(12)
    return radii[torch.searchsorted(radii, distances)]


@pytest.mark.parametrize("batch_size", [1, 3, 8])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=4, deadline=None)
def test_two_class_linear_model_is_crossed_at_the_nearest_point(batch_size: int, seed: int) -> None:
    model, images, labels, distances = draw_linear(seed, num_samples=8, num_classes=2)
    radii = first_radius_beyond(distances)
    assume(bool(((radii - distances).abs() > ROUNDING).all()))
    found = find(model, images, labels, choose_search("pgd_doubling", batch_size=batch_size))
    assert torch.equal(found.labels, 1 - labels)
    assert torch.equal(model(found.images).argmax(1), found.labels)
    torch.testing.assert_close(find_radii(model, images, labels), radii)
    assert (found.delta_norm >= distances - ROUNDING).all()
    assert (found.delta_norm <= distances + radii / 10 + ROUNDING).all()
    assert (found.delta_norm <= radii + ROUNDING).all()


def test_a_very_sure_model_is_crossed_at_the_same_point() -> None:
    model, images, labels, distances = draw_linear(0, num_samples=8, num_classes=2, sureness=1000)
    assert model(images).softmax(1).amax() == 1  # the cross-entropy's own gradient is zero there
    found = find(model, images, labels, ALGORITHM_1)
    assert (found.delta_norm <= distances + first_radius_beyond(distances) / 10 + ROUNDING).all()


def test_recorded_figures() -> None:
    recorded = load_oracle("algorithm1")
    model = make_recorded_cnn()
    found = find(model, recorded["images"], recorded["labels"], ALGORITHM_1)
    difference = (found.delta_norm - recorded["delta_norm"]).abs()
    assert (difference <= recorded["epsilon"] / 10).all()
    assert found.delta_norm.mean().item() == pytest.approx(recorded["delta_norm"].mean().item(), rel=0.01)
    radii = find_radii(model, recorded["images"], recorded["labels"])
    assert (radii == recorded["epsilon"]).float().mean() > 0.95
    torch.testing.assert_close(found.delta_norm, (found.images - recorded["images"]).flatten(1).norm(dim=1))
    assert (found.labels == recorded["adversarial_labels"]).float().mean() > 0.95
    assert found.images.min() >= 0
    assert found.images.max() <= 1


def test_only_the_samples_without_an_example_are_named() -> None:
    model, images, labels, distances = draw_linear(2, num_samples=8, num_classes=2)
    far = int(distances.argmax())
    between = distances.sort().values[-2:].mean().item()
    reach = PGD.model_copy(update={"epsilon": between, "max_epsilon": between})
    with pytest.raises(AmunError, match=rf"1 sample \(id{far}\)"):
        find(model, images, labels, choose_search("pgd_doubling", pgd_doubling=reach))


def test_a_model_that_answers_the_same_everywhere_is_named_with_the_radius() -> None:
    constant = make_linear(torch.zeros(2, NUM_PIXELS), torch.tensor([1.0, 0.0]))
    with pytest.raises(AmunError, match=r"radius 41 .* 2 samples \(id0, id1\)"):
        find(constant, torch.rand(2, 1, 8, 8), torch.zeros(2, dtype=torch.int64), ALGORITHM_1)
