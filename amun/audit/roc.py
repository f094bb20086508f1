"""How well scores tell members from non-members."""

import numpy as np
import numpy.typing as npt
from torch import Tensor

Floats = npt.NDArray[np.float64]


def compute_auc(member_scores: Tensor, non_member_scores: Tensor) -> float:
    """Returns the probability that a member (M,) scores above a non-member (N,), a tie counting one half.

    Note:
        scikit-learn has it too, but importing that takes longer than the audit of a wave.
    """
    members, non_members = _to_numpy(member_scores), np.sort(_to_numpy(non_member_scores))
    below = np.searchsorted(non_members, members, side="left")
    not_above = np.searchsorted(non_members, members, side="right")
    return float((below + not_above).mean() / (2 * len(non_members)))


def auc_standard_error(num_members: int, num_non_members: int) -> float:
    """Returns the standard error of an AUC of 0.5 from so many samples (Hanley and McNeil 1982)."""
    return float(np.sqrt((num_members + num_non_members + 1) / (12 * num_members * num_non_members)))


def compute_tpr(member_scores: Tensor, non_member_scores: Tensor, rate: float) -> float:
    """Returns the highest share of members (M,) found while at most that share of non-members (N,) is taken for one."""
    members, non_members = _to_numpy(member_scores), np.sort(_to_numpy(non_member_scores))[::-1]
    num_allowed = int(rate * len(non_members) + 1e-9)  # a rate of 0.01 of 300 is 3
    return float((members > non_members[num_allowed]).mean()) if num_allowed < len(non_members) else 1.0


def roc_curve_binned(member_scores: Tensor, non_member_scores: Tensor, num_bins: int = 20) -> tuple[Floats, Floats]:
    """Returns the ROC curve on a fixed grid, from which no single score can be read.

    Returns:
        False positive rates (num_bins + 1,), 0 to 1 at equal distances, and the highest true positive rates
        (num_bins + 1,) that thresholds reach without exceeding them.
    """
    grid = np.linspace(0, 1, num_bins + 1)
    members, non_members = _to_numpy(member_scores), np.sort(_to_numpy(non_member_scores))[::-1]
    # a rate of 3/20 must not miss the grid's 0.15 by its last bit
    num_allowed = np.floor(grid * len(non_members) + 1e-9).astype(np.int64)
    # just above the first non-member that is not allowed; where all are, below everything
    thresholds = np.append(non_members, -np.inf)[num_allowed]
    return grid, (members[:, None] > thresholds).mean(axis=0)


def _to_numpy(scores: Tensor) -> Floats:
    array: Floats = scores.double().cpu().numpy()
    return array
