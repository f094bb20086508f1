"""Labels that several methods give to the forget samples: wrong ones, drawn or nearest, and those of references."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from amun.core.counts import tell_count
from amun.core.errors import AttemptError
from amun.core.params import Share
from amun.methods.method import Parameter, Range
from amun.methods.problem import Targets
from amun.model.training import choose_pass_size, compute_logits, evaluating
from amun.store.image_sets import AnyImages

FGSM_STEP = Parameter("fgsm_step", Share, Range(0.02, 0.5, "log"), "the (first) step, L-infinity, pixels in [0, 1]")


def draw_wrong_labels(labels: Tensor, num_classes: int, seed: int, also_not: Tensor | None = None) -> Tensor:
    """Returns (N,) int64 labels drawn uniformly among those that differ from `labels` (N,) and from `also_not` (N,).

    Raises:
        AttemptError: too few classes leave no label to draw.
    """
    is_barred = one_hot(labels, num_classes)
    if also_not is not None:
        is_barred |= one_hot(also_not, num_classes)
    weights = (1 - is_barred).float().cpu()
    if not weights.any(1).all():
        raise AttemptError(f"no other wrong label is left among {tell_count(num_classes, 'class', 'classes')}")
    drawn = torch.multinomial(weights, 1, generator=torch.Generator().manual_seed(seed))
    return drawn[:, 0].to(labels.device)


def step_across(model: nn.Module, images: Tensor, labels: Tensor, step: float) -> Tensor:
    """Returns the images (N, C, H, W) after one FGSM step of `step` (L-infinity, pixels in [0, 1]), clamped to [0, 1].

    Source: Goodfellow et al., arXiv 1412.6572.
    """
    stepped, size = [], choose_pass_size(images)
    with evaluating(model):
        for part, answers in zip(torch.split(images, size), torch.split(labels, size), strict=True):
            inputs = part.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(cross_entropy(model(inputs), answers, reduction="sum"), inputs)
            stepped.append((part + step * gradient.sign()).clamp(0, 1))
    return torch.cat(stepped)


def find_nearest_wrong(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Returns (N,) the label other than `labels` (N,) that the model finds most likely for the images."""
    logits = compute_logits(model, images).to(labels.device)
    return logits.scatter(1, labels[:, None], float("-inf")).argmax(1)


def draw_unseen(targets: Targets, seed: int) -> Tensor:
    """Returns (F,) int64: for each forget sample one of the references that were not trained on it, drawn by seed."""
    draws = np.random.default_rng(seed).random(targets.inclusion.shape)
    return torch.from_numpy(np.where(targets.inclusion, -1.0, draws).argmax(1)).to(targets.logits.device)


def mix_with_hard(parts: list[tuple[AnyImages, Tensor]], num_classes: int) -> list[tuple[AnyImages, Tensor]]:
    """Returns the parts, images with labels, with every hard label (N,) as a probability vector (N, C)."""
    return [(images, one_hot(labels, num_classes).float() if labels.ndim == 1 else labels) for images, labels in parts]
