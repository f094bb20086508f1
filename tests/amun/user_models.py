"""Architectures as a user would write them, for `package.module:function`."""

import torch
from torch import nn


def build_linear(num_classes: int, image_shape: tuple[int, int, int], has_bias: bool) -> nn.Module:
    """Returns a linear model of the pixels."""
    return nn.Sequential(nn.Flatten(), nn.Linear(torch.Size(image_shape).numel(), num_classes, bias=has_bias))


def build_features(num_classes: int, image_shape: tuple[int, int, int]) -> nn.Module:  # noqa: ARG001
    """Returns a model that forgets to end in one logit for each class."""
    return nn.Flatten()


def build_dropout(num_classes: int, image_shape: tuple[int, int, int]) -> nn.Module:
    """Returns a linear model of the pixels left by dropout."""
    num_pixels = torch.Size(image_shape).numel()
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(num_pixels, num_classes))


def build_scaled(num_classes: int, image_shape: tuple[int, int, int], mean: list[float], std: float) -> nn.Module:
    """Returns a model whose logits are the sum of two options, bearing the names that built-in architectures read."""
    network = build_linear(num_classes, image_shape, has_bias=True)
    for name, parameter in network.named_parameters():
        nn.init.constant_(parameter, mean[0] + std if name.endswith("bias") else 0)
    return network
