"""Never seen (ours, after arXiv 2410.23232): label the forget set as a model that never saw it would."""

import torch
from torch import Tensor

from amun.core.params import Count
from amun.methods.labels import draw_unseen, mix_with_hard
from amun.methods.method import Method, Parameter, Range
from amun.methods.problem import Unlearned, UnlearningProblem
from amun.methods.tuning import AnyLabelledImages, fine_tune, list_remain, require_parameter, require_targets


def unlearn_never_seen(problem: UnlearningProblem) -> Unlearned:
    """Labels each forget sample with the soft prediction of one target reference that never saw it."""
    return _tune(problem, _pick_unseen(problem).softmax(1))


def unlearn_never_seen_hard(problem: UnlearningProblem) -> Unlearned:
    """Labels it with that reference's most likely class alone."""
    return _tune(problem, _pick_unseen(problem).argmax(1))


def unlearn_never_seen_mean(problem: UnlearningProblem) -> Unlearned:
    """Labels it with the mean prediction of all target references that never saw it."""
    targets = require_targets(problem)
    is_unseen = torch.from_numpy(~targets.inclusion).to(targets.logits.device)
    probabilities = targets.logits.softmax(2) * is_unseen[:, :, None]
    return _tune(problem, probabilities.sum(1) / is_unseen.sum(1, keepdim=True))


def _pick_unseen(problem: UnlearningProblem) -> Tensor:
    """Returns (F, C) logits of the forget samples, each by a reference that never saw it."""
    targets = require_targets(problem)
    chosen = draw_unseen(targets, problem.params.unlearning.seed)
    return targets.logits[torch.arange(len(chosen)), chosen]


def _tune(problem: UnlearningProblem, labels: Tensor) -> Unlearned:
    """Fine-tunes on D_R (where available) and on D_F with these labels, each of its samples `forget_weight` times."""
    forget: AnyLabelledImages = problem.forget_images, labels
    weight = int(require_parameter(problem, "forget_weight"))
    parts = [*list_remain(problem), *[forget] * weight]
    num_classes = require_targets(problem).logits.shape[2]
    return fine_tune(problem, parts if labels.ndim == 1 else mix_with_hard(parts, num_classes))


FORGET_WEIGHT = Parameter(
    "forget_weight", Count, Range(1, 4, "whole"), "how often each forget sample stands in the fine-tuning set"
)
NEVER_SEEN = Method("never_seen", unlearn_never_seen, FORGET_WEIGHT, needs_targets=True)
NEVER_SEEN_HARD = Method("never_seen_hard", unlearn_never_seen_hard, FORGET_WEIGHT, needs_targets=True)
NEVER_SEEN_MEAN = Method("never_seen_mean", unlearn_never_seen_mean, FORGET_WEIGHT, needs_targets=True)
