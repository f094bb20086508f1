"""The planted models have the faults that their names say."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from amun.methods.problem import UnlearningProblem
from amun.model.training import compute_logits
from amun.selftest.planted import (
    PLANTED,
    Planted,
    find_head,
    keep_samples,
    leave_untouched,
    move_by_nothing,
    overlook_people,
    scale_logits,
    tune_head_hard,
    tune_head_soft,
)
from tests.amun.methods.problems import IMAGES, make_problem
from tests.amun.shipped import copy_weights

PEOPLE = np.arange(20) // 2


def pose(planted: Planted) -> UnlearningProblem:
    return make_problem(planted.attempt.method, attempt=planted.attempt)


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_each_is_a_model_of_its_own_and_leaves_the_base_alone(planted: Planted) -> None:
    problem = pose(planted)
    before = copy_weights(problem.base)
    model = planted.make(problem, PEOPLE)
    assert model is not problem.base
    assert all(torch.equal(before[name], tensor) for name, tensor in copy_weights(problem.base).items())
    is_moved = any(not torch.equal(before[name], tensor) for name, tensor in copy_weights(model).items())
    assert is_moved is (planted.make is not leave_untouched)
    assert compute_logits(model, IMAGES[:5]).isfinite().all()


def test_one_alone_has_forgotten() -> None:
    assert [planted.name for planted in PLANTED if planted.is_exact] == ["exact weights"]


@pytest.mark.parametrize("make", [tune_head_hard, tune_head_soft])
def test_of_a_head_only_model_the_last_layer_alone_has_moved(make: object) -> None:
    problem = make_problem("never_seen")
    assert callable(make)
    model: nn.Module = make(problem, PEOPLE)
    before, after = copy_weights(problem.base), copy_weights(model)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    (head,) = (name for name, module in model.named_modules() if module is find_head(model))
    assert moved == {f"{head}.weight", f"{head}.bias"}


def test_a_rate_of_next_to_nothing_moves_next_to_nothing() -> None:
    planted = next(planted for planted in PLANTED if planted.make is move_by_nothing)
    problem = pose(planted)
    logits = [compute_logits(model, IMAGES) for model in (problem.base, planted.make(problem, PEOPLE))]
    torch.testing.assert_close(*logits, rtol=1e-4, atol=1e-5)


def test_scaled_logits_give_the_same_answers() -> None:
    problem = make_problem("never_seen")
    before, after = (compute_logits(model, IMAGES) for model in (problem.base, scale_logits(problem, PEOPLE)))
    torch.testing.assert_close(after, before / 4, rtol=1e-4, atol=1e-5)


def test_kept_samples_are_learned_and_no_longer_forgotten() -> None:
    problem = make_problem("never_seen")
    kept = keep_samples(problem, PEOPLE == 3, 2)
    assert len(kept.forget_images) == 18
    assert kept.remain_labels is not None
    assert kept.targets is not None
    assert isinstance(kept.remain_images, Tensor)
    assert torch.equal(kept.remain_images[100:], problem.forget_images[[6, 7, 6, 7]])
    assert torch.equal(kept.remain_labels[100:], problem.forget_labels[[6, 7, 6, 7]])
    assert kept.targets.logits.shape[0] == len(kept.targets.inclusion) == 18
    # of six people one is kept: 0 and 6 of ten
    shown = overlook_people(problem, PEOPLE)
    same = overlook_people(keep_samples(problem, PEOPLE % 6 == 0, 1), np.ones(16, dtype=np.int64))
    torch.testing.assert_close(copy_weights(shown), copy_weights(same))
