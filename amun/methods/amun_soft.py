"""AMUN with soft labels (ours): its adversarial examples, labelled as a model that never saw the sample sees them."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import one_hot

from amun.core.errors import InputError
from amun.methods.labels import draw_unseen, mix_with_hard
from amun.methods.method import Method, Parameter, Range
from amun.methods.problem import Unlearned, UnlearningProblem
from amun.methods.tuning import (
    fine_tune,
    get_adversarial,
    get_forget,
    list_remain,
    require_parameter,
    require_targets,
)
from amun.model.training import compute_logits


def unlearn_amun_soft(problem: UnlearningProblem) -> Unlearned:
    """Fine-tunes on AMUN's sets, D_A's labels `label_mix` the base's and for the rest a reference's prediction."""
    images, labels = get_adversarial(problem)
    predicted = _predict_unseen(problem)
    num_classes, mix = predicted.shape[1], require_parameter(problem, "label_mix")
    mixed = mix * one_hot(labels, num_classes) + (1 - mix) * predicted
    parts = [*list_remain(problem), get_forget(problem), (images, mixed)]
    return fine_tune(problem, mix_with_hard(parts, num_classes))


def _predict_unseen(problem: UnlearningProblem) -> Tensor:
    """Returns (F, C) probabilities of the adversarial images, each by one reference that never saw the sample."""
    targets = require_targets(problem)
    if targets.load is None:
        raise InputError("unlearning: amun_soft needs the target references' weights, which were not kept")
    chosen = draw_unseen(targets, problem.params.unlearning.seed)
    predicted = torch.zeros(len(chosen), targets.logits.shape[2], device=chosen.device)
    for number in set(chosen.tolist()):
        mine = chosen == number
        logits = compute_logits(targets.load(number), problem.adversarial_images[mine])
        predicted[mine] = logits.to(chosen.device).softmax(1)
    return predicted


LABEL_MIX = Parameter(
    "label_mix",
    Annotated[float, Field(ge=0, le=1)],
    Range(0, 1, "linear"),
    "the weight of the adversarial label; the rest is the reference's",
)
AMUN_SOFT = Method("amun_soft", unlearn_amun_soft, LABEL_MIX, needs_adversarial=True, needs_target_weights=True)
