"""Which training samples a run forgets, drawn anew for each number."""

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Strings = npt.NDArray[np.str_]


def draw_forget_set(subject_ids: Strings, share: float, number: int) -> Mask:
    """Returns (N,) bool: a share of the training samples, drawn uniformly over the subjects, each of them whole.

    Args:
        subject_ids: (N,) whose each sample is.
        share: of the samples, 0 to 1; the last subject drawn may exceed it.
        number: of the draw.
    """
    return draw_forget_sets(subject_ids, share, 1, number)[0]


def draw_forget_sets(subject_ids: Strings, share: float, num_sets: int, number: int) -> list[Mask]:
    """Returns so many disjoint sets, each as `draw_forget_set` draws it.

    Raises:
        ValueError: there are too few samples for them.
    """
    _, owners, sizes = np.unique(subject_ids, return_inverse=True, return_counts=True)
    order = np.random.default_rng(number).permutation(len(sizes))
    reached = np.cumsum(sizes[order])
    wanted = _count_share(share, subject_ids)
    if wanted * num_sets > len(subject_ids):
        raise ValueError(f"{num_sets} sets of {share:g} of the samples are more than there are")
    sets, start, done = [], 0, 0
    for _ in range(num_sets):
        end = int(np.searchsorted(reached, done + wanted)) + 1
        sets.append(np.isin(owners, order[start:end]))
        start, done = end, int(reached[min(end, len(reached)) - 1])
    return sets


def bound_forget_set(subject_ids: Strings, share: float) -> int:
    """Returns how many samples a forget set of that share has at most."""
    _, sizes = np.unique(subject_ids, return_counts=True)
    return _count_share(share, subject_ids) + int(sizes.max()) - 1


def _count_share(share: float, subject_ids: Strings) -> int:
    return max(1, round(share * len(subject_ids)))
