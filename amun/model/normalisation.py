"""The first layer of every model: from pixels to what the network behind it expects, by `mean` and `std`.

It is part of the model, so that the search for adversarial examples, the audit and who serves an exported model all
work on pixels from 0 to 1.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

MEAN, STD = "mean", "std"


class Normalise(nn.Module):
    """Maps images (N, C, H, W) from [0, 1] to `(images - mean) / std`."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        """Keeps both: scalars, or (C, 1, 1) with one value a channel."""
        super().__init__()
        self.register_buffer(MEAN, mean)
        self.register_buffer(STD, std)

    def forward(self, images: Tensor) -> Tensor:
        """Returns the normalised images."""
        return (images - self.mean) / self.std


def make_plain() -> Normalise:
    """Returns the layer that maps pixels to [-1, 1]."""
    return Normalise(torch.tensor(0.5), torch.tensor(0.5))


def take_normalisation(options: dict[str, Any], num_channels: int) -> tuple[Normalise, dict[str, Any]]:
    """Returns the layer that `mean` and `std` of a built-in architecture's options ask for, and the other options.

    Raises:
        ValueError: one stands without the other, or they are not a number for each channel, of pixels from 0 to 1.
    """
    others = {name: value for name, value in options.items() if name not in (MEAN, STD)}
    if len(others) == len(options):
        return make_plain(), others
    if len(options) - len(others) == 1:
        raise ValueError(f"{MEAN} and {STD} stand together")
    mean, std = (_read(name, options[name], num_channels) for name in (MEAN, STD))
    if not all(std):
        raise ValueError(f"{STD} must be above 0")
    return Normalise(*(torch.tensor(values).reshape(num_channels, 1, 1) for values in (mean, std))), others


def _read(name: str, values: Any, num_channels: int) -> list[float]:
    if not isinstance(values, list) or len(values) != num_channels:
        raise ValueError(f"{name} must be a list with a number for each channel of the images: {num_channels}")
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        raise ValueError(f"{name} must be numbers")
    if not all(math.isfinite(value) and 0 <= value <= 1 for value in values):
        raise ValueError(f"{name} is that of pixels from 0 to 1: divide what is meant for 0 to 255 by 255")
    return [float(value) for value in values]
