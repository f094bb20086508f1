"""Draws the samples that stand for all in a figure. The seed is fixed, so that the figure can be repeated."""

import numpy as np
import numpy.typing as npt


def draw_rows(num_samples: int, num_drawn: int) -> npt.NDArray[np.int64]:
    """Returns at most `num_drawn` positions of `num_samples`, by a fixed seed, in order."""
    return np.sort(np.random.default_rng(0).permutation(num_samples)[:num_drawn])
