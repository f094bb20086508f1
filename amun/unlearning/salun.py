"""SalUn: only the weights that matter most for the forget set may move (Fan et al., arXiv 2310.12508)."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from amun.training import StepHook, evaluating
from amun.unlearning.problem import Unlearned, UnlearningProblem
from amun.unlearning.random_label import relabel_forget
from amun.unlearning.tuning import (
    LabelledImages,
    fine_tune,
    get_adversarial,
    get_forget,
    list_remain,
    require_parameter,
)


def unlearn_salun(problem: UnlearningProblem) -> Unlearned:
    """Learns random labels of D_F, with D_R where available, on the salient weights."""
    return _tune_salient(problem, [*list_remain(problem), relabel_forget(problem)])


def unlearn_amun_salun(problem: UnlearningProblem) -> Unlearned:
    """Fine-tunes on AMUN's sets, on the salient weights."""
    return _tune_salient(problem, [*list_remain(problem), get_forget(problem), get_adversarial(problem)])


def unlearn_amun_a_salun(problem: UnlearningProblem) -> Unlearned:
    """Fine-tunes on AMUN's sets without D_F, on the salient weights."""
    return _tune_salient(problem, [*list_remain(problem), get_adversarial(problem)])


def find_salient(problem: UnlearningProblem, fraction: float) -> dict[str, Tensor]:
    """Returns for each weight of the base, by name, whether it is among that fraction with the largest gradients.

    The gradient is that of the loss on D_F, at the base; bool tensors in the weights' shapes.
    """
    base = problem.base
    weights = dict(base.named_parameters())
    with evaluating(base):
        loss = cross_entropy(base(problem.forget_images), problem.forget_labels)
        gradients = torch.autograd.grad(loss, list(weights.values()))
    sizes = torch.cat([gradient.abs().flatten() for gradient in gradients])
    threshold = sizes.topk(math.ceil(fraction * len(sizes))).values[-1]
    return {name: gradient.abs() >= threshold for name, gradient in zip(weights, gradients, strict=True)}


def _tune_salient(problem: UnlearningProblem, parts: list[LabelledImages]) -> Unlearned:
    is_salient = find_salient(problem, require_parameter(problem, "mask_fraction"))
    return fine_tune(problem, parts, after_step=_hold_others(problem.base, is_salient))


def _hold_others(base: nn.Module, is_salient: dict[str, Tensor]) -> StepHook:
    """Returns the hook that puts every other weight back to where the base has it.

    Note:
        The source masks the gradient instead, so weight decay still moves the weights that are to stay.
    """
    origin = {name: weight.detach().clone() for name, weight in base.named_parameters()}

    @torch.no_grad()
    def put_back(model: nn.Module) -> None:
        for name, weight in model.named_parameters():
            weight.copy_(torch.where(is_salient[name], weight, origin[name]))

    return put_back
