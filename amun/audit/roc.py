"""How well scores tell members from non-members."""

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score, roc_curve
from torch import Tensor

Floats = npt.NDArray[np.float64]


def compute_auc(member_scores: Tensor, non_member_scores: Tensor) -> float:
    """Returns the probability that a member (M,) scores above a non-member (N,), a tie counting one half."""
    return float(roc_auc_score(*_label(member_scores, non_member_scores)))


def auc_standard_error(num_members: int, num_non_members: int) -> float:
    """Returns the standard error of an AUC of 0.5 from so many samples (Hanley and McNeil 1982)."""
    return float(np.sqrt((num_members + num_non_members + 1) / (12 * num_members * num_non_members)))


def roc_curve_binned(member_scores: Tensor, non_member_scores: Tensor, num_bins: int = 20) -> tuple[Floats, Floats]:
    """Returns the ROC curve on a fixed grid, from which no single score can be read.

    Returns:
        False positive rates (num_bins + 1,), 0 to 1 at equal distances, and the highest true positive rates
        (num_bins + 1,) that thresholds reach without exceeding them.
    """
    rates, true_rates, _ = roc_curve(*_label(member_scores, non_member_scores), drop_intermediate=False)
    grid = np.linspace(0, 1, num_bins + 1)
    # a rate of 3/20 must not miss the grid's 0.15 by its last bit
    last = np.searchsorted(rates, grid + 1e-9, side="right") - 1
    return grid, true_rates[last]


def _label(member_scores: Tensor, non_member_scores: Tensor) -> tuple[Floats, Floats]:
    """Returns membership (M + N,), 1 or 0, and the scores (M + N,)."""
    scores = [member_scores.double().cpu().numpy(), non_member_scores.double().cpu().numpy()]
    return np.concatenate([np.ones(len(scores[0])), np.zeros(len(scores[1]))]), np.concatenate(scores)
