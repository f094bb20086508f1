"""What the methods share: fine-tuning a copy of the base, on parts that lie side by side, while its history is kept."""

from collections.abc import Callable, Sequence
from copy import deepcopy

import torch
from torch import Tensor

from amun.core.errors import InputError
from amun.methods.problem import Targets, Unlearned, UnlearningProblem
from amun.model.history import put_epoch
from amun.model.training import EpochMetrics, StepHook, fit
from amun.store.image_sets import AnyImages, join_images

LabelledImages = tuple[Tensor, Tensor]
AnyLabelledImages = tuple[AnyImages, Tensor]


def fine_tune(
    problem: UnlearningProblem,
    parts: Sequence[AnyLabelledImages],
    *,
    before_step: StepHook | None = None,
    after_step: StepHook | None = None,
) -> Unlearned:
    """Returns a copy of the base fine-tuned on all parts together, at the attempt's learning rate.

    Args:
        problem: the base, the attempt and `params.unlearning`.
        parts: images (N, C, H, W) with labels (N,), or in every part with probabilities (N, K).
        before_step: as for `fit`.
        after_step: as for `fit`.
    """
    images, labels = join_images([images for images, _ in parts]), torch.cat([labels for _, labels in parts])
    history, on_epoch = keep_history(problem)
    model = deepcopy(problem.base)
    fit(
        model,
        images,
        labels,
        optimisation=problem.params.unlearning,
        learning_rate=require_parameter(problem, "learning_rate"),
        precision=problem.params.runtime.precision,
        on_epoch=on_epoch,
        before_step=before_step,
        after_step=after_step,
    )
    return Unlearned(model.eval(), history)


def keep_history(problem: UnlearningProblem) -> tuple[list[EpochMetrics], Callable[[EpochMetrics], None]]:
    """Returns a list, and the function to call after each epoch: it puts the epoch there, and reports it."""
    history: list[EpochMetrics] = []

    def record(metrics: EpochMetrics) -> None:
        put_epoch(history, metrics)
        problem.on_epoch(metrics)

    return history, record


def require_parameter(problem: UnlearningProblem, name: str) -> float:
    """Returns the attempt's parameter of that name.

    Raises:
        ValueError: it has none.
    """
    attempt = problem.attempt
    value = attempt.learning_rate if name == "learning_rate" else attempt.own.get(name)
    if value is None:
        raise ValueError(f"{attempt.method} needs a {name}")
    return value


def get_forget(problem: UnlearningProblem) -> LabelledImages:
    """Returns D_F with its true labels."""
    return problem.forget_images, problem.forget_labels


def get_adversarial(problem: UnlearningProblem) -> LabelledImages:
    """Returns D_A with the base's labels."""
    return problem.adversarial_images, problem.adversarial_labels


def list_remain(problem: UnlearningProblem) -> list[AnyLabelledImages]:
    """Returns D_R as the one part it is, or no part where it is not available."""
    if problem.remain_images is None or problem.remain_labels is None:
        return []
    return [(problem.remain_images, problem.remain_labels)]


def require_remain(problem: UnlearningProblem) -> AnyLabelledImages:
    """Returns D_R.

    Raises:
        InputError: it is not available.
    """
    if parts := list_remain(problem):
        return parts[0]
    raise InputError(f"unlearning: {problem.attempt.method} needs the remain set; set data.remain to use")


def require_targets(problem: UnlearningProblem) -> Targets:
    """Returns the target references.

    Raises:
        InputError: there are none.
    """
    if problem.targets is not None:
        return problem.targets
    raise InputError(
        f"unlearning: {problem.attempt.method} needs target references; set references.num_target and rebuild the base"
    )


@torch.no_grad()
def count_classes(problem: UnlearningProblem) -> int:
    """Returns how many classes the base tells apart."""
    return int(problem.base(problem.forget_images[:1]).shape[1])
