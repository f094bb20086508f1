"""How a model is trained from its first weights: by the built-in loop, or by a function of the user's.

The base, the references and exact retraining all come from here: an audit whose references were trained otherwise
than the model is worth nothing.
"""

import inspect
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from amun.core.custom import describe_error, import_function
from amun.core.errors import AmunError, DivergedError, InputError
from amun.core.params import TrainingParams
from amun.model.training import EpochMetrics, compute_accuracy, compute_logits, fit, seeded
from amun.model.weights import copy_weights
from amun.store.image_sets import AnyImages, as_set

KEY = "training.function"


@dataclass(frozen=True)
class TrainingSamples:
    """What a user's trainer is given to train on, on the model's device.

    Attributes:
        images: (N, C, H, W) float32 in [0, 1].
        labels: (N,) int64 classes.
    """

    images: Tensor
    labels: Tensor


def train_model(
    model: nn.Module,
    images: AnyImages,
    labels: Tensor,
    *,
    params: TrainingParams,
    precision: str,
    on_epoch: Callable[[EpochMetrics], None],
) -> bool:
    """Trains a freshly initialised model in place, as `training` says; the same seed gives the same weights.

    Where the built-in loop diverges, or ends no better than guessing, it begins anew from the same first weights, with
    gradients no longer than `fallback_gradient_norm`: the base, references and exact retraining all by the same rule.

    Args:
        model: on the device of the data.
        images: (N, C, H, W) float32 in [0, 1].
        labels: (N,) int64.
        params: the built-in loop's hyperparameters, or the user's trainer; and the seed.
        precision: of the built-in loop, as for `fit`.
        on_epoch: called after each epoch, from the first one again where training begins anew; for a user's trainer
            once, with what the trained model shows.

    Returns:
        Whether it began anew.

    Raises:
        InputError: the user's trainer cannot be imported or called, or returns another model than it was given.
        AmunError: it failed; as `DivergedError`, its weights are not finite.
    """
    if params.function is not None:
        _train_by_function(params.function, model, TrainingSamples(as_set(images).read_all(), labels), params)
        on_epoch(_measure(model, images, labels))
        return False
    train = partial(
        fit, model, images, labels, optimisation=params, learning_rate=params.learning_rate, precision=precision
    )
    if params.fallback_gradient_norm is None:
        train(on_epoch=on_epoch)
        return False
    first, losses = copy_weights(model), list[float]()

    def note_loss(metrics: EpochMetrics) -> None:
        losses.append(metrics.loss)
        on_epoch(metrics)

    with suppress(DivergedError):
        train(on_epoch=note_loss)
        if losses[-1] < compute_guessing_loss(labels):
            return False
    model.load_state_dict(first)
    train(on_epoch=on_epoch, before_step=partial(limit_gradient, params.fallback_gradient_norm))
    return True


def compute_guessing_loss(labels: Tensor) -> float:
    """Returns about the least cross-entropy of a model that says the same of every image: the entropy of the labels.

    A thousandth less: of a network that has died the mean over the batches of an epoch may lie a little lower.
    """
    shares = labels.bincount().double() / len(labels)
    return 0.999 * float(torch.special.entr(shares).sum())


def limit_gradient(max_norm: float, model: nn.Module) -> None:
    """Shortens the gradient of all weights together to an L2 norm of `max_norm`, if it is longer.

    Source: Pascanu et al. 2013 (arXiv 1211.5063), norm clipping.
    """
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)


def count_epochs(params: TrainingParams) -> int:
    """Returns how often `train_model` reports: a user's trainer does not tell of its epochs."""
    return params.epochs if params.function is None else 1


def import_trainer(name: str) -> Callable[[nn.Module, TrainingSamples, TrainingParams, int], Any]:
    """Returns a user's trainer.

    Raises:
        InputError: it cannot be imported, or does not take (model, samples, params, seed).
    """
    function = import_function(KEY, name)
    try:
        inspect.signature(function).bind(None, None, None, None)
    except TypeError:
        raise InputError(f"{KEY}: {name} must take (model, samples, params, seed) and return the model") from None
    return function


def _train_by_function(name: str, model: nn.Module, samples: TrainingSamples, params: TrainingParams) -> None:
    function = import_trainer(name)
    expected = _describe_structure(model)
    device = samples.images.device
    model.train()
    random.seed(params.seed)
    np.random.seed(params.seed % 2**32)
    with seeded(device, params.seed):
        try:
            trained = function(model, samples, params, params.seed)
        except Exception as error:  # a user's code may raise anything
            raise AmunError(f"{KEY}: {name} failed: {describe_error(error)}") from error
    if not isinstance(trained, nn.Module):
        raise InputError(f"{KEY}: {name} must return the trained model, but returned {type(trained).__name__}")
    if differing := _describe_structure(trained) ^ expected:
        raise InputError(f"{KEY}: {name} returned another architecture than it was given: {min(differing)}")
    weights = trained.state_dict()
    if not all(bool(tensor.isfinite().all()) for tensor in weights.values()):
        raise DivergedError(f"{KEY}: {name} returned weights that are not finite; lower its learning rate")
    if trained is not model:
        model.load_state_dict(weights)
    model.to(device)


def _describe_structure(model: nn.Module) -> set[str]:
    """Returns a line for each layer and each tensor: two models of one architecture have the same ones."""
    layers = {f"layer {name or 'itself'}: {type(layer).__name__}" for name, layer in model.named_modules()}
    tensors = model.state_dict().items()
    return layers | {f"{name}: {tuple(tensor.shape)} {tensor.dtype}" for name, tensor in tensors}


def _measure(model: nn.Module, images: AnyImages, labels: Tensor) -> EpochMetrics:
    """Returns the trained model's loss and accuracy on its training samples, in eval mode."""
    logits, targets = compute_logits(model, images), labels.cpu()
    return EpochMetrics(1, float(cross_entropy(logits, targets)), compute_accuracy(logits, targets))
