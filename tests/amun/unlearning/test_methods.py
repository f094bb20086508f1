"""The methods: what each of them may look at, told from the bytes of what it returns."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from amun.errors import InputError
from amun.models import build_model
from amun.params import AttemptParams, Params
from amun.training import EpochMetrics, fit
from amun.unlearning.methods import METHODS
from amun.unlearning.problem import Unlearned, UnlearningProblem
from tests.amun.shipped import PARAMS, change_optimisation, copy_weights, have_same_weights, load_digit_images

IMAGES, LABELS = load_digit_images()
QUICK: Params = PARAMS.model_copy(
    update={
        "training": PARAMS.training.model_copy(update={"epochs": 2}),
        "unlearning": change_optimisation(epochs=2),
        "model": PARAMS.model.model_copy(update={"options": {"channels": [4, 4]}}),
    }
)


def make_problem(method: str, **changes: Any) -> UnlearningProblem:
    """Returns a small problem: 20 forget samples, 100 remain samples, adversarial ones made up."""
    problem = UnlearningProblem(
        base=build_model(QUICK.model, 10, (1, 8, 8), seed=1),
        forget_images=IMAGES[:20],
        forget_labels=LABELS[:20],
        adversarial_images=IMAGES[20:40],
        adversarial_labels=LABELS[20:40],
        remain_images=IMAGES[40:140],
        remain_labels=LABELS[40:140],
        attempt=AttemptParams(method=method, learning_rate=None if METHODS[method].is_exact else 0.1),
        params=QUICK,
        build=lambda: build_model(QUICK.model, 10, (1, 8, 8), seed=2),
        on_epoch=lambda _: None,
    )
    return replace(problem, **changes)


def run(problem: UnlearningProblem) -> Unlearned:
    unlearned: Unlearned = METHODS[problem.attempt.method].load()(problem)
    return unlearned


def weights_after(method: str, **changes: Any) -> dict[str, Tensor]:
    return copy_weights(run(make_problem(method, **changes)).model)


@pytest.mark.parametrize("method", METHODS)
def test_the_base_is_not_altered(method: str) -> None:
    problem = make_problem(method)
    before = copy_weights(problem.base)
    unlearned = run(problem)
    assert have_same_weights(before, copy_weights(problem.base))
    assert not have_same_weights(before, copy_weights(unlearned.model))


@pytest.mark.parametrize("method", METHODS)
def test_every_epoch_is_recorded_and_reported(method: str) -> None:
    reported: list[EpochMetrics] = []
    unlearned = run(make_problem(method, on_epoch=reported.append))
    assert [metrics.epoch for metrics in unlearned.history] == [1, 2]
    assert reported == unlearned.history


@pytest.mark.parametrize(("method", "is_seen"), [("amun", True), ("amun_a", False), ("retrain", False)])
def test_only_amun_sees_the_forget_set(method: str, is_seen: bool) -> None:
    other = weights_after(method, forget_images=IMAGES[200:230], forget_labels=LABELS[200:230])
    assert have_same_weights(weights_after(method), other) is not is_seen


@pytest.mark.parametrize(("method", "is_seen"), [("amun", True), ("amun_a", True), ("retrain", False)])
def test_amun_learns_the_adversarial_labels(method: str, is_seen: bool) -> None:
    other = weights_after(method, adversarial_labels=9 - LABELS[20:40])
    assert have_same_weights(weights_after(method), other) is not is_seen


@pytest.mark.parametrize("has_remain", [True, False])
def test_amun_is_fine_tuning_on_the_three_sets(has_remain: bool) -> None:
    remain = {} if has_remain else {"remain_images": None, "remain_labels": None}
    first = 40 if has_remain else 140
    expected = deepcopy(make_problem("amun").base)
    fit(
        expected,
        torch.cat([IMAGES[first:140], IMAGES[:40]]),
        torch.cat([LABELS[first:140], LABELS[:40]]),
        optimisation=QUICK.unlearning,
        learning_rate=0.1,
        precision="float32",
        on_epoch=lambda _: None,
    )
    assert have_same_weights(copy_weights(expected), weights_after("amun", **remain))


def test_amun_a_without_the_remain_set_needs_only_the_adversarial_set() -> None:
    unlearned = run(make_problem("amun_a", remain_images=None, remain_labels=None))
    assert not have_same_weights(copy_weights(unlearned.model), weights_after("amun_a"))


def test_retrain_without_the_remain_set_is_refused() -> None:
    with pytest.raises(InputError, match=r"retrain needs the remain set; set data\.remain"):
        run(make_problem("retrain", remain_images=None, remain_labels=None))
