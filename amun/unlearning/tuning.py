"""What the methods share: fine-tuning a copy of the base while its history is kept."""

from copy import deepcopy

import torch
from torch import Tensor

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
    model = deepcopy(problem.base)
    history: list[EpochMetrics] = []

    def record(metrics: EpochMetrics) -> None:
        history.append(metrics)
        problem.on_epoch(metrics)

    fit(
        model,
        images,
        labels,
        optimisation=problem.params.unlearning,
        learning_rate=learning_rate,
        precision=problem.params.runtime.precision,
        on_epoch=record,
    )
    return Unlearned(model.eval(), history)
