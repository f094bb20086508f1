"""Trainers as a user would write them, for `package.module:function`."""

import random
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from amun.core.params import TrainingParams
from amun.model.trainer import TrainingSamples


def train_by_adam(model: nn.Module, samples: TrainingSamples, params: TrainingParams, seed: int) -> nn.Module:
    """Takes full-batch steps with Adam."""
    assert seed == params.seed
    assert model.training
    optimizer = torch.optim.Adam(model.parameters(), lr=params.options["rate"])
    for _ in range(params.options["steps"]):
        optimizer.zero_grad()
        cross_entropy(model(samples.images), samples.labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return model


def train_by_chance(model: nn.Module, samples: Any, params: Any, seed: int) -> nn.Module:  # noqa: ARG001
    """Adds numbers that three generators draw, and returns another model of the same architecture."""
    from copy import deepcopy

    drawn = torch.rand(1).item() + float(np.random.rand()) + random.random()  # noqa: S311
    trained = deepcopy(model)
    for parameter in trained.parameters():
        parameter.data += drawn
    return trained


def return_nothing(model: nn.Module, samples: Any, params: Any, seed: int) -> None:
    """Forgets to return the model."""


def wrap(model: nn.Module, samples: Any, params: Any, seed: int) -> nn.Module:  # noqa: ARG001
    """Returns the model inside another one."""
    return nn.Sequential(model)


def replace_layer(model: nn.Module, samples: Any, params: Any, seed: int) -> nn.Module:  # noqa: ARG001
    """Puts a layer without weights in the place of another one."""
    model.set_submodule("1.1", nn.Tanh())
    return model


def halve(model: nn.Module, samples: Any, params: Any, seed: int) -> nn.Module:  # noqa: ARG001
    """Returns the model in half precision."""
    return model.half()


def diverge(model: nn.Module, samples: Any, params: Any, seed: int) -> nn.Module:  # noqa: ARG001
    """Returns weights that are no numbers."""
    next(model.parameters()).data.fill_(torch.nan)
    return model


def fail(model: nn.Module, samples: Any, params: Any, seed: int) -> nn.Module:  # noqa: ARG001
    """Raises an error of two lines."""
    raise KeyError("no such\nthing")


def take_two(model: nn.Module, samples: Any) -> nn.Module:  # noqa: ARG001
    """Takes too few arguments."""
    return model


NOT_A_FUNCTION = 3
