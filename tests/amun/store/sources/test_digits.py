"""The digits: as scikit-learn ships them, or with noise, the same in every workspace."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from amun.core.errors import InputError
from amun.store.sources.digits import Options, list_images
from tests.amun.shipped import PARAMS


def read(options: Options) -> npt.NDArray[np.float32]:
    """Returns all images."""
    listing = list_images(None, options)
    return np.stack([np.asarray(opened()) for opened in listing.open_images(np.arange(len(listing)))])


def test_noise_is_added_to_every_pixel_and_is_the_same_each_time() -> None:
    clean, noisy = read(Options()), read(Options(noise=0.3))
    assert clean.shape == noisy.shape == (1797, 8, 8)
    assert noisy.dtype == clean.dtype == np.float32
    assert (noisy.min(), noisy.max()) == (0, 1)
    is_between = (noisy > 0) & (noisy < 1)
    # what is not cut off at black or white is no more than a normal deviate away
    added = (noisy - clean)[is_between & (clean > 0.4) & (clean < 0.6)]
    assert 0.2 < added.std() < 0.3
    assert abs(added.mean()) < 0.02
    assert np.array_equal(noisy, read(Options(noise=0.3)))
    assert np.array_equal(clean, read(Options(noise=0)))


@pytest.mark.parametrize("noise", [-0.1, 1.1])
def test_noise_is_a_share_of_the_range_of_a_pixel(noise: float) -> None:
    with pytest.raises(ValueError, match="noise"):
        Options(noise=noise)


def test_digits_read_no_folder(tmp_path: Path) -> None:
    assert Options.model_validate(PARAMS.data.options) == Options()
    with pytest.raises(InputError, match="reads no folder"):
        list_images(tmp_path, Options())
