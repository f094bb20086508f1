"""What a source returns, and the registry of sources."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor

Reader = Callable[[Path | None], "SourceImages"]

SOURCES = {
    "digits": "amun.data.sources.digits:read_digits",
    "cifar10": "amun.data.sources.cifar10:read_cifar10",
}


@dataclass(frozen=True)
class SourceImages:
    """N images as their source names them.

    Attributes:
        keys: (N,) the source's own name of each image, unique.
        images: (N, C, H, W) uint8, or float32 in [0, 1].
        labels: (N,) int64 classes from 0.
        subject_ids: (N,) whose images they are; None where the source names no subjects.
    """

    keys: list[str]
    images: Tensor
    labels: Tensor
    subject_ids: npt.NDArray[np.str_] | None = None


def read_source(name: str, root: Path | None) -> SourceImages:
    """Returns all images of the source called `name`, read from the folder `root`."""
    module, _, function = SOURCES[name].partition(":")
    reader: Reader = getattr(import_module(module), function)
    return reader(root)
