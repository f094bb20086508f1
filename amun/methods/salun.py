"""SalUn: only the weights that matter most for the forget set may move (Fan et al., arXiv 2310.12508)."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from amun.core.params import Share
from amun.methods.method import Method, Parameter, Range
from amun.methods.problem import Unlearned, UnlearningProblem
from amun.methods.random_label import relabel_forget
from amun.methods.tuning import (
    AnyLabelledImages,
    fine_tune,
    get_adversarial,
    get_forget,
    list_remain,
    require_parameter,
)
from amun.model.training import StepHook, choose_pass_size, evaluating


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
    sizes = {name: gradient.abs() for name, gradient in _compute_gradients(problem).items()}
    ordered = torch.cat([size.flatten() for size in sizes.values()])
    threshold = ordered.topk(math.ceil(fraction * len(ordered))).values[-1]
    return {name: size >= threshold for name, size in sizes.items()}


def _compute_gradients(problem: UnlearningProblem) -> dict[str, Tensor]:
    """Returns the gradient of the base's mean loss on D_F by each weight, taken in parts that fit into memory."""
    base, images, labels = problem.base, problem.forget_images, problem.forget_labels
    weights = dict(base.named_parameters())
    totals = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    size = choose_pass_size(images)
    with evaluating(base):
        for part, answers in zip(torch.split(images, size), torch.split(labels, size), strict=True):
            loss = cross_entropy(base(part), answers) * (len(part) / len(images))
            for total, gradient in zip(totals.values(), torch.autograd.grad(loss, list(weights.values())), strict=True):
                total.add_(gradient)
    return totals


def _tune_salient(problem: UnlearningProblem, parts: list[AnyLabelledImages]) -> Unlearned:
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


MASK_FRACTION = Parameter("mask_fraction", Share, Range(0.1, 0.9, "linear"), "the share of the weights that may move")
SALUN = Method("salun", unlearn_salun, MASK_FRACTION)
AMUN_SALUN = Method("amun_salun", unlearn_amun_salun, MASK_FRACTION, needs_adversarial=True)
AMUN_A_SALUN = Method("amun_a_salun", unlearn_amun_a_salun, MASK_FRACTION, needs_adversarial=True)
