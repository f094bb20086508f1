"""The 1,797 handwritten digits of 8 x 8 pixels that scikit-learn ships (UCI optical recognition of digits)."""

from pathlib import Path

import torch
from sklearn.datasets import load_digits

from amun.data.sources.source import SourceImages
from amun.errors import InputError


def read_digits(root: Path | None) -> SourceImages:
    """Returns (1797, 1, 8, 8) float32 images in [0, 1] in 10 classes.

    Raises:
        InputError: `data.root` is set, which this source has no use for.
    """
    if root is not None:
        raise InputError("params.yaml: data.root: the source 'digits' reads no folder; write null")
    digits = load_digits()
    images = torch.tensor(digits.images / 16, dtype=torch.float32).unsqueeze(1)
    keys = [f"digits/{position}" for position in range(len(images))]
    return SourceImages(keys, images, torch.tensor(digits.target, dtype=torch.int64))
