"""Which samples stand for all in a figure: strangers alone, drawn by a seed, so that the figure can be repeated."""

import numpy as np
import numpy.typing as npt

from amun.store.rows import Mask
from amun.store.samples import Owners


def draw_rows(num_samples: int, num_drawn: int) -> npt.NDArray[np.int64]:
    """Returns at most `num_drawn` positions of `num_samples`, by a fixed seed, in order."""
    return np.sort(np.random.default_rng(0).permutation(num_samples)[:num_drawn])


def draw_people(
    subject_ids: npt.NDArray[np.str_], num_drawn: int, seed: int = 0, min_people: int = 0
) -> npt.NDArray[np.int64]:
    """Returns the positions, in order, of the samples of people who are drawn whole until there are so many samples.

    Where they stand for other people's samples, these are compared with people who have as many each, not with one
    sample of each of many.

    Args:
        subject_ids: (N,) whose each sample is.
        num_drawn: at least so many samples; all where there are fewer.
        seed: of the draw. Only where many draws are compared is it another one for each.
        min_people: at least so many people, however many samples they have; all where there are fewer.
    """
    _, people, sizes = np.unique(subject_ids, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(sizes))
    num_before = np.cumsum(sizes[order]) - sizes[order]
    is_drawn = (num_before < num_drawn) | (np.arange(len(order)) < min_people)
    return np.flatnonzero(np.isin(people, order[is_drawn]))


def find_strangers(held_out: Owners, train: Owners) -> Mask:
    """Returns (N,) bool: which held-out samples are of people of whom no sample was ever trained on.

    A person may have samples on both sides, where a list names the training samples: the model knows them.
    """
    return ~np.isin(held_out.subject_ids, train.subject_ids)
