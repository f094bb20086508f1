"""Small problems on real digits, for all tests of the methods."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from amun.core.params import AttemptParams, Params
from amun.methods.catalogue import METHODS, load_method
from amun.methods.problem import Targets, Unlearned, UnlearningProblem
from amun.model.architectures import build_model
from tests.amun.shipped import PARAMS, change_optimisation, copy_weights, load_digit_images

IMAGES, LABELS = load_digit_images()
QUICK: Params = PARAMS.model_copy(
    update={
        "training": PARAMS.training.model_copy(update={"epochs": 2}),
        "unlearning": change_optimisation(epochs=2),
        "model": PARAMS.model.model_copy(update={"options": {"channels": [4, 4]}}),
    }
)
# the one parameter that some methods have besides a learning rate
OWN = {
    "clip_norm": 1.0,
    "fgsm_step": 0.25,
    "l1_penalty": 0.001,
    "mask_fraction": 0.5,
    "ascent_share": 0.5,
    "label_mix": 0.5,
    "forget_weight": 2,
}


def make_attempt(method: str, **changes: Any) -> AttemptParams:
    """Returns an attempt with what the method needs."""
    rate = {} if METHODS[method].is_exact else {"learning_rate": 0.1}
    own = METHODS[method].parameter
    return AttemptParams.model_validate(
        {"method": method} | rate | ({own.name: OWN[own.name]} if own else {}) | changes
    )


def make_targets() -> Targets:
    """Returns four target references, pairs of complementary halves, that saw every other sample."""
    models = [build_model(QUICK.model, 10, (1, 8, 8), seed=seed).eval() for seed in (11, 12, 13, 14)]
    with torch.no_grad():
        logits = torch.stack([model(IMAGES[:20]) for model in models], dim=1)
    is_even = np.arange(20) % 2 == 0
    return Targets(logits, np.stack([is_even, ~is_even, is_even, ~is_even], axis=1), models.__getitem__)


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
        targets=make_targets(),
        attempt=make_attempt(method),
        params=QUICK,
        build=lambda: build_model(QUICK.model, 10, (1, 8, 8), seed=2),
        on_epoch=lambda _: None,
    )
    return replace(problem, **changes)


def run(problem: UnlearningProblem) -> Unlearned:
    """Returns what the problem's method makes of it."""
    return load_method(problem.attempt.method)(problem)


def weights_after(method: str, **changes: Any) -> dict[str, Tensor]:
    """Returns the weights after the method ran on the small problem, with these changes."""
    return copy_weights(run(make_problem(method, **changes)).model)
