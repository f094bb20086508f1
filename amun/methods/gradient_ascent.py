"""Gradient ascent: climb the loss on the forget set (Thudi et al., arXiv 2109.13398)."""

import torch
from torch import nn

from amun.core.params import Positive
from amun.methods.method import Method, Parameter, Range
from amun.methods.problem import Unlearned, UnlearningProblem
from amun.methods.tuning import fine_tune, get_forget, require_parameter


def unlearn_gradient_ascent(problem: UnlearningProblem) -> Unlearned:
    """Climbs the loss on D_F, no gradient longer than the attempt's `clip_norm`.

    Note:
        Clipping is not in the source; without it the loss, which has no upper bound, runs away.
    """
    clip_norm = require_parameter(problem, "clip_norm")

    def climb(model: nn.Module) -> None:
        gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
        torch._foreach_neg_(gradients)
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm)

    return fine_tune(problem, [get_forget(problem)], before_step=climb)


CLIP_NORM = Parameter("clip_norm", Positive, Range(0.1, 10, "log"), "the largest L2 norm of a gradient")
GRADIENT_ASCENT = Method("gradient_ascent", unlearn_gradient_ascent, CLIP_NORM)
