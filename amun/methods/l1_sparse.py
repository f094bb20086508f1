"""L1-sparse: fine-tuning under an L1 penalty that decays to zero (Jia et al., arXiv 2304.04934)."""

import math
from itertools import count

import torch
from torch import nn

from amun.core.params import NonNegative
from amun.methods.method import Method, Parameter, Range
from amun.methods.problem import Unlearned, UnlearningProblem
from amun.methods.tuning import fine_tune, require_parameter, require_remain
from amun.model.training import StepHook


def unlearn_l1_sparse(problem: UnlearningProblem) -> Unlearned:
    """Fine-tunes on D_R with the penalty `l1_penalty` on the weights' L1 norm, less by the same amount each epoch."""
    remain, optimisation = require_remain(problem), problem.params.unlearning
    num_batches = math.ceil(len(remain[0]) / optimisation.batch_size)
    penalty = require_parameter(problem, "l1_penalty")
    return fine_tune(problem, [remain], before_step=decay_penalty(penalty, num_batches, optimisation.epochs))


def decay_penalty(penalty: float, num_batches: int, epochs: int) -> StepHook:
    """Returns the hook that adds the gradient of the penalised norm, the penalty less in each epoch than before."""
    steps = count()

    @torch.no_grad()
    def add_penalty(model: nn.Module) -> None:
        weight = penalty * (1 - next(steps) // num_batches / epochs)
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad.add_(parameter.sign(), alpha=weight)

    return add_penalty


L1_PENALTY = Parameter(
    "l1_penalty", NonNegative, Range(0.00001, 0.01, "log"), "of the weights' L1 norm in the first epoch"
)
L1_SPARSE = Method("l1_sparse", unlearn_l1_sparse, L1_PENALTY, needs_remain=True)
