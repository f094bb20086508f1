"""Algorithm 1: projected gradient descent in L2 balls that double until the label changes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from amun.adversarial.geometry import compute_norms, normalise, project_to_ball
from amun.errors import AmunError
from amun.params import AdversarialParams
from amun.training import evaluating


@dataclass(frozen=True)
class AdversarialExamples:
    """For each sample the nearest image found that the model labels wrongly.

    Attributes:
        images: (N, C, H, W) float32 in [0, 1].
        labels: (N,) int64, the model's own (wrong) labels of them.
        epsilon: (N,) last radius tried; 0 where the model is wrong already.
        delta_norm: (N,) L2 distance to the sample; 0 where the model is wrong already.
    """

    images: Tensor
    labels: Tensor
    epsilon: Tensor
    delta_norm: Tensor


def find_adversarial_pgd(
    model: nn.Module, images: Tensor, labels: Tensor, *, params: AdversarialParams, sample_ids: Sequence[str]
) -> AdversarialExamples:
    """Returns the adversarial examples of Algorithm 1, batch by batch, on the device of the images.

    Args:
        model: classifier on the same device; run in eval mode, its weights are neither changed nor given gradients.
        images: (N, C, H, W) float32 in [0, 1].
        labels: (N,) int64 true labels.
        params: first and largest radius, steps per radius, step size, batch size.
        sample_ids: N names for the error.

    Raises:
        AmunError: for some samples no radius up to `params.max_epsilon` held an adversarial example.
    """
    batches = zip(torch.split(images, params.batch_size), torch.split(labels, params.batch_size), strict=True)
    with evaluating(model):
        results = [search_batch(model, image_batch, label_batch, params) for image_batch, label_batch in batches]
    adversarial, predicted, epsilon = (torch.cat(column) for column in zip(*results, strict=True))
    _refuse_missing(predicted == labels, sample_ids, params)
    return AdversarialExamples(adversarial, predicted, epsilon, compute_norms(adversarial - images))


def search_batch(
    model: nn.Module, images: Tensor, labels: Tensor, params: AdversarialParams
) -> tuple[Tensor, Tensor, Tensor]:
    """Algorithm 1 for one batch: a sample that resists a radius goes on from where it is in twice the radius.

    Args:
        model: in eval mode.
        images: (N, C, H, W) float32 in [0, 1].
        labels: (N,) true labels.
        params: as for `find_adversarial_pgd`.

    Returns:
        The last iterates (N, C, H, W), the model's labels of them (N,), equal to the true one where the search
        failed, and the last radii (N,).
    """
    iterate, epsilon = images.clone(), torch.zeros(len(images), device=images.device)
    predicted, _ = _predict_with_gradient(model, images, labels)
    radius = params.epsilon
    while radius <= params.max_epsilon and (predicted == labels).any():
        left = predicted == labels
        epsilon[left] = radius
        iterate[left], predicted[left] = descend(model, iterate[left], images[left], labels[left], radius, params)
        radius *= 2
    return iterate, predicted, epsilon


def descend(
    model: nn.Module, start: Tensor, images: Tensor, labels: Tensor, radius: float, params: AdversarialParams
) -> tuple[Tensor, Tensor]:
    """Takes `params.num_steps` steps in the balls of one radius; each sample stops at its first change of label.

    Args:
        model: in eval mode.
        start: (N, C, H, W) first iterates, labelled right.
        images: (N, C, H, W) centres of the balls.
        labels: (N,) true labels.
        radius: of the balls, L2; a step is `params.step_fraction` of it.
        params: as for `find_adversarial_pgd`.

    Returns:
        The last iterates (N, C, H, W) and the model's labels of them (N,).
    """
    iterate = start
    predicted, gradient = _predict_with_gradient(model, start, labels)
    for _ in range(params.num_steps):
        is_done = predicted != labels
        if is_done.all():
            break
        moved = project_to_ball(iterate + params.step_fraction * radius * normalise(gradient), images, radius)
        iterate = torch.where(is_done[:, None, None, None], iterate, moved)
        new_predicted, gradient = _predict_with_gradient(model, iterate, labels)
        predicted = torch.where(is_done, predicted, new_predicted)
    return iterate, predicted


def _predict_with_gradient(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the model's labels (N,) and ascent directions (N, C, H, W) of the cross-entropy.

    The cross-entropy is log(1 + exp(m)), m the log-sum-exp of the other logits less the true one. The gradient of m
    has the same direction and, unlike the cross-entropy's, does not vanish where the model is very sure.
    """
    with torch.enable_grad():
        points = images.detach().requires_grad_()
        logits = model(points)
        true_logits = logits.gather(1, labels[:, None])
        other_logits = logits.scatter(1, labels[:, None], -torch.inf)
        (gradient,) = torch.autograd.grad((other_logits.logsumexp(1, keepdim=True) - true_logits).sum(), points)
    return logits.detach().argmax(1), gradient


def _refuse_missing(is_missing: Tensor, sample_ids: Sequence[str], params: AdversarialParams) -> None:
    names = [name for name, missing in zip(sample_ids, is_missing.tolist(), strict=True) if missing]
    if names:
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        raise AmunError(
            f"adversarial search: no image within L2 radius {params.max_epsilon:g} changes the label of "
            f"{len(names)} samples ({shown}); raise adversarial.max_epsilon or check the model"
        )
