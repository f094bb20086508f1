"""The 1,797 handwritten digits of 8 x 8 pixels that scikit-learn ships (UCI optical recognition of digits)."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from amun.core.errors import InputError
from amun.core.params import Section
from amun.store.sources.catalogue import Listing, Opener, Row, build_listing

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Options(Section):
    """How the images are changed.

    Attributes:
        noise: standard deviation of what is added to each pixel, of 0 to 1, the same in every workspace. A model that
            cannot tell noisy digits apart learns more of them by heart. 0 where it is not named.
    """

    noise: Annotated[float, Field(ge=0, le=1)] = 0.0


def list_images(root: Path | None, options: Options) -> Listing:
    """Returns 1,797 greyscale images, float32, in 10 classes.

    Raises:
        InputError: `data.root` is set, which this source has no use for.
    """
    if root is not None:
        raise InputError("params.yaml: data.root: the source 'digits' reads no folder; write null")
    import numpy as np
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)
    if options.noise:
        noise = np.random.default_rng(0).normal(scale=options.noise, size=images.shape)
        images = (images + noise).clip(0, 1).astype(np.float32)
    rows = [Row(f"digits/{position}", int(label), None) for position, label in enumerate(digits.target)]

    def open_images(positions: "npt.NDArray[np.int64]") -> Iterator[Opener]:
        return (partial(images.__getitem__, position) for position in positions)

    return build_listing(rows, open_images, [])
