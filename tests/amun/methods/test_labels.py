"""Labels for forget samples: drawn among wrong ones, found beyond a boundary, taken from references."""

import numpy as np
import pytest
import torch
from torch import nn

from amun.core.errors import AttemptError
from amun.methods.labels import draw_unseen, draw_wrong_labels, find_nearest_wrong, mix_with_hard, step_across
from amun.methods.problem import Targets

LABELS = torch.arange(3000) % 3


def test_wrong_labels_are_wrong_and_each_as_likely() -> None:
    drawn = draw_wrong_labels(LABELS, 3, seed=0)
    assert not (drawn == LABELS).any()
    shares = [((drawn - LABELS) % 3 == offset).double().mean().item() for offset in (1, 2)]
    assert shares == pytest.approx([0.5, 0.5], abs=0.05)
    assert torch.equal(drawn, draw_wrong_labels(LABELS, 3, seed=0))
    assert not torch.equal(drawn, draw_wrong_labels(LABELS, 3, seed=1))


def test_other_wrong_labels_are_neither_of_the_two() -> None:
    drawn = draw_wrong_labels(LABELS, 3, seed=0, also_not=(LABELS + 1) % 3)
    assert torch.equal(drawn, (LABELS + 2) % 3)


def test_two_classes_leave_no_other_wrong_label() -> None:
    with pytest.raises(AttemptError, match="no other wrong label is left among 2 classes"):
        draw_wrong_labels(torch.tensor([0, 1]), 2, seed=0, also_not=torch.tensor([1, 0]))


@pytest.fixture
def linear() -> nn.Module:
    """Logits x, -x and y - 1 of a picture of two pixels (x, y): class 0 right of the middle, 2 far up."""
    layer = nn.Linear(2, 3)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]]))
        layer.bias.copy_(torch.tensor([0.0, 0.0, -1.0]))
    return nn.Sequential(nn.Flatten(), layer)


def test_one_step_goes_uphill_by_its_size_and_stays_in_the_box(linear: nn.Module) -> None:
    images = torch.tensor([[[[0.5, 0.5]]], [[[0.05, 0.95]]]])
    stepped = step_across(linear, images, torch.tensor([0, 0]), 0.1)
    # the loss of class 0 grows as x falls and as y rises
    assert torch.allclose(stepped, torch.tensor([[[[0.4, 0.6]]], [[[0.0, 1.0]]]]))


def test_nearest_wrong_is_the_likeliest_other_class(linear: nn.Module) -> None:
    images = torch.tensor([[[[0.9, 0.5]]], [[[0.9, 0.0]]], [[[0.1, 1.0]]]])
    assert find_nearest_wrong(linear, images, torch.tensor([0, 2, 0])).tolist() == [2, 0, 2]


def test_a_reference_that_saw_the_sample_is_never_drawn() -> None:
    inclusion = np.random.default_rng(0).permuted(np.tile([True, True, False, False], (500, 1)), axis=1)
    targets = Targets(torch.zeros(500, 4, 3), inclusion, None)
    drawn = draw_unseen(targets, seed=0)
    assert not inclusion[np.arange(500), drawn.numpy()].any()
    assert set(drawn.tolist()) == {0, 1, 2, 3}
    assert not torch.equal(drawn, draw_unseen(targets, seed=1))


def test_hard_labels_become_certain_probabilities() -> None:
    soft = torch.tensor([[0.2, 0.8]])
    mixed = mix_with_hard([(torch.zeros(2, 1, 1, 1), torch.tensor([1, 0])), (torch.zeros(1, 1, 1, 1), soft)], 2)
    assert torch.equal(mixed[0][1], torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    assert mixed[1][1] is soft
