"""What the methods share: training a model while its history is kept."""

from copy import deepcopy

import torch
from torch import Tensor, nn

from amun.params import OptimisationParams
from amun.training import EpochMetrics, fit
from amun.unlearning.problem import Unlearned, UnlearningProblem

LabelledImages = tuple[Tensor, Tensor]


def fine_tune(problem: UnlearningProblem, parts: list[LabelledImages]) -> Unlearned:
    """Returns a copy of the base fine-tuned on all parts together, at the attempt's learning rate.

    Args:
        problem: the base, the attempt and `params.unlearning`.
        parts: images (N, C, H, W) with labels (N,).
    """
    images, labels = (torch.cat(column) for column in zip(*parts, strict=True))
    learning_rate = problem.attempt.learning_rate
    if learning_rate is None:
        raise ValueError(f"{problem.attempt.method} needs a learning rate")
    return train(problem, deepcopy(problem.base), (images, labels), problem.params.unlearning, learning_rate)


def train(
    problem: UnlearningProblem,
    model: nn.Module,
    data: LabelledImages,
    optimisation: OptimisationParams,
    learning_rate: float,
) -> Unlearned:
    """Trains `model` in place on `data`; returns it in eval mode with its history."""
    history: list[EpochMetrics] = []

    def record(metrics: EpochMetrics) -> None:
        history.append(metrics)
        problem.on_epoch(metrics)

    precision = problem.params.runtime.precision
    images, labels = data
    fit(
        model,
        images,
        labels,
        optimisation=optimisation,
        learning_rate=learning_rate,
        precision=precision,
        on_epoch=record,
    )
    return Unlearned(model.eval(), history)
