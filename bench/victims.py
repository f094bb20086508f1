"""The models that are searched: the demo's CNN on digits, and a small residual network on CIFAR-10."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from amun.core.params import ModelParams, OptimisationParams, Params
from amun.model.architectures import build_model
from amun.model.training import compute_accuracy, compute_logits, fit
from amun.model.weights import load_weights, save_weights

VICTIMS = ("digits", "resnet")
NUM_DIGITS, NUM_CIFAR10 = 900, 4000
RESNET = ModelParams(name="resnet", architecture="small_resnet", options={"widths": [16, 32, 64]})
RESNET_EPOCHS = 16  # to a training accuracy of about 90 %


@dataclass(frozen=True)
class Victim:
    """A trained model with the samples it learned.

    Attributes:
        name: of the model.
        model: in eval mode.
        images: (N, C, H, W) float32 in [0, 1].
        labels: (N,) int64.
        accuracy: on them, 0 to 1.
    """

    name: str
    model: nn.Module
    images: Tensor
    labels: Tensor
    accuracy: float

    def take(self, num_samples: int) -> "Victim":
        """Returns the victim with the first samples alone."""
        return replace(self, images=self.images[:num_samples], labels=self.labels[:num_samples])


def load_victim(name: str, params: Params, root: Path, weights: Path, device: torch.device) -> Victim:
    """Returns a model of that name, trained by seed where `weights` does not hold it yet.

    Args:
        name: one of `VICTIMS`.
        params: how the demo's CNN is built and trained.
        root: of CIFAR-10.
        weights: folder that keeps trained weights.
        device: to compute on.
    """
    images, labels = _load_digits() if name == "digits" else load_cifar10(root, NUM_CIFAR10)
    if name == "digits":
        model = build_model(params.model, 10, (1, 8, 8), params.training.seed).to(device)
    else:
        model = build_model(RESNET, 10, (3, 32, 32), params.training.seed).to(device)
    images, labels = images.to(device), labels.to(device)
    path = weights / f"bench-{name}.safetensors"
    if path.exists():
        load_weights(path, model)
    else:
        epochs = params.training.epochs if name == "digits" else RESNET_EPOCHS
        _train(model, images, labels, params, params.training.model_copy(update={"epochs": epochs}))
        save_weights(path, model)
    accuracy = compute_accuracy(compute_logits(model, images), labels)
    return Victim(name, model.eval(), images, labels, accuracy)


def _train(model: nn.Module, images: Tensor, labels: Tensor, params: Params, optimisation: OptimisationParams) -> None:
    fit(
        model,
        images,
        labels,
        optimisation=optimisation,
        learning_rate=params.training.learning_rate,
        precision=params.runtime.precision,
        on_epoch=lambda _: None,
    )


def _load_digits() -> tuple[Tensor, Tensor]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    chosen = torch.randperm(len(digits.target), generator=torch.Generator().manual_seed(0))[:NUM_DIGITS]
    return (torch.from_numpy(digits.images).float()[:, None] / 16)[chosen], torch.from_numpy(digits.target)[chosen]


def load_cifar10(root: Path, num_samples: int) -> tuple[Tensor, Tensor]:
    """Returns the first training images (N, 3, 32, 32) float32 in [0, 1] and their labels (N,)."""
    import io

    import numpy as np
    import pandas as pd
    from PIL import Image

    rows = pd.read_parquet(sorted(root.glob("*.parquet"))[-1]).head(num_samples)
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(content)).convert("RGB")) for content in rows["image"]])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().float() / 255
    return images, torch.tensor(rows["label"].to_numpy(), dtype=torch.int64)
