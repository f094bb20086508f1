"""The methods: what each of them may look at, told from the bytes of what it returns."""

from copy import deepcopy

import pytest
import torch

from amun.core.errors import InputError
from amun.methods.catalogue import METHODS
from amun.model.training import EpochMetrics, fit
from tests.amun.methods.problems import IMAGES, LABELS, QUICK, make_problem, run, weights_after
from tests.amun.shipped import copy_weights, have_same_weights


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
    # retraining that has learned nothing in two epochs begins anew, and reports that, too
    assert reported[-2:] == unlearned.history
    assert [metrics.epoch for metrics in reported] == [1, 2] * (len(reported) // 2)


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
