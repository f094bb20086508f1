"""A model that remembers whose images it was shown: what reached training or a judgement is seen from inside.

The top row of an image says its class, and is all that the model learns from. Below it stands the image's number, in
pixels that are black or white: no search moves them, for they have no gradient.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

SIZE, NUM_CLASSES = 8, 4
PLACES = 2 ** torch.arange(SIZE)


@dataclass(frozen=True)
class Pass:
    """A pass of a model: whether it trained, whether somebody may have asked for gradients, and whom it saw."""

    is_training: bool
    has_gradient: bool
    numbers: frozenset[int]


class Witness(nn.Module):
    """A linear model of the top row.

    Attributes:
        passes: of all witnesses in this process.
        mistaken: the numbers of the images that every witness, when it is evaluated, takes for another class.
    """

    passes: ClassVar[list[Pass]] = []
    mistaken: ClassVar[frozenset[int]] = frozenset()

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(SIZE, NUM_CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Returns the logits."""
        numbers = (images[:, 0, 1] > 0).long() @ PLACES
        seen = frozenset(numbers.tolist()) - {0}  # nobody's: where a model is only tried
        self.passes.append(Pass(self.training, torch.is_grad_enabled(), seen))
        logits: Tensor = self.linear(images[:, 0, 0])
        if self.training:
            return logits
        is_mistaken = torch.isin(numbers, torch.tensor(sorted(self.mistaken), dtype=torch.int64))
        return torch.where(is_mistaken[:, None], logits.roll(1, 1), logits)


def build_witness(num_classes: int, image_shape: tuple[int, int, int]) -> nn.Module:
    """Returns a witness, as a user's architecture."""
    assert (num_classes, image_shape) == (NUM_CLASSES, (1, SIZE, SIZE))
    return Witness()


def paint(number: int) -> Tensor:
    """Returns the image (1, 8, 8) uint8 of a number from 1 to 255, whose class is the number's rest by 4."""
    image = np.random.default_rng(number).integers(0, 60, (1, SIZE, SIZE))
    image[0, 0, number % NUM_CLASSES] = 220
    image[0, 1] = [255 * (number >> place & 1) for place in range(SIZE)]
    return torch.from_numpy(image).to(torch.uint8)


def hear() -> list[Pass]:
    """Returns the passes since it was asked last."""
    passes = list(Witness.passes)
    Witness.passes.clear()
    return passes
