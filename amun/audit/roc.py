"""How well scores tell members from non-members."""

import numpy as np
import numpy.typing as npt
from torch import Tensor

from amun.core.errors import DivergedError
from amun.evidence.wave import LOW_RATES

Floats = npt.NDArray[np.float64]
People = npt.NDArray[np.str_]
NUM_BINS = 20
MIN_TOLD = 5  # people; a point that rests on fewer would tell of single ones


def compute_auc(member_scores: Tensor, non_member_scores: Tensor) -> float:
    """Returns the probability that a member (M,) scores above a non-member (N,), a tie counting one half.

    Note:
        scikit-learn has it too, but importing that takes longer than the audit of a wave.

    Raises:
        DivergedError: a score is no number.
    """
    return float(_find_placements(_to_numpy(member_scores), _to_numpy(non_member_scores)).mean())


def auc_standard_error(num_members: int, num_non_members: int) -> float:
    """Returns the standard error of an AUC of 0.5 from so many samples (Hanley and McNeil 1982)."""
    return float(np.sqrt((num_members + num_non_members + 1) / (12 * num_members * num_non_members)))


def auc_standard_error_by_person(
    member_scores: Tensor, non_member_scores: Tensor, members: People, non_members: People
) -> float:
    """Returns the standard error of an AUC of samples, of which those of one person may resemble one another.

    Each person counts by all of their samples together (Obuchowski 1997, who extends DeLong et al. 1988). It is no less
    than that of as many samples that have nothing in common, which alone is told where one side is a single person.

    Args:
        member_scores: (M,).
        non_member_scores: (N,).
        members: (M,) whose sample each is.
        non_members: (N,) likewise; nobody is on both sides.
    """
    unrelated = auc_standard_error(len(members), len(non_members))
    if min(len(np.unique(people)) for people in (members, non_members)) < 2:
        return unrelated
    scores, others = _to_numpy(member_scores), _to_numpy(non_member_scores)
    of_members, of_others = _find_placements(scores, others), _find_placements(others, scores)
    by_person = np.sqrt(_variance_by_person(of_members, members) + _variance_by_person(of_others, non_members))
    return max(unrelated, float(by_person))


def _find_placements(scores: Floats, others: Floats) -> Floats:
    """Returns the share of the others above whom each score lies, a tie counting one half."""
    ordered = np.sort(others)
    below, not_above = (np.searchsorted(ordered, scores, side=side) for side in ("left", "right"))
    places: Floats = (below + not_above) / (2 * len(others))
    return places


def _variance_by_person(places: Floats, people: People) -> float:
    """Returns the variance of the mean of places, of which those of one person are one draw."""
    codes = np.unique(people, return_inverse=True)[1]
    sums = np.bincount(codes, weights=places - places.mean())
    return float(np.square(sums).sum() * len(sums) / (len(sums) - 1) / len(places) ** 2)


def compute_tpr(member_scores: Tensor, non_member_scores: Tensor, rate: float) -> float:
    """Returns the highest share of members (M,) found while at most that share of non-members (N,) is taken for one."""
    members, non_members = _to_numpy(member_scores), np.sort(_to_numpy(non_member_scores))[::-1]
    num_allowed = int(rate * len(non_members) + 1e-9)  # a rate of 0.01 of 300 is 3
    return float((members > non_members[num_allowed]).mean()) if num_allowed < len(non_members) else 1.0


def choose_low_rates(members: Tensor, owners: People, non_members: Tensor, strangers: People) -> set[float]:
    """Returns those of `LOW_RATES` at which the ROC curve tells of no single person.

    `MIN_TOLD` people or more are mistaken there, and nobody or as many are found.

    Args:
        members: scores (M,).
        owners: (M,) whose they are.
        non_members: scores (N,).
        strangers: (N,) whose they are.
    """
    found, mistaken = _to_numpy(members), _to_numpy(non_members)
    return {
        rate
        for rate, threshold in zip(LOW_RATES, _find_thresholds(mistaken, np.array(LOW_RATES)), strict=True)
        if len({*strangers[mistaken > threshold]}) >= MIN_TOLD
        and len({*owners[found > threshold]}) not in range(1, MIN_TOLD)
    }


def roc_curve_binned(member_scores: Tensor, non_member_scores: Tensor, rates: Floats) -> Floats:
    """Returns the ROC curve at given rates, as on a grid from which no single score can be read.

    Returns:
        The highest true positive rates (N,) that thresholds reach without exceeding these false positive rates (N,).
    """
    thresholds = _find_thresholds(_to_numpy(non_member_scores), rates)
    found: Floats = (_to_numpy(member_scores)[:, None] > thresholds).mean(axis=0)
    return found


def _find_thresholds(non_members: Floats, rates: Floats) -> Floats:
    """Returns the lowest scores above which no more than these shares of the non-members lie."""
    # a rate of 3/20 must not miss the grid's 0.15 by its last bit
    num_allowed = np.floor(rates * len(non_members) + 1e-9).astype(np.int64)
    # just above the first non-member that is not allowed; where all are, below everything
    thresholds: Floats = np.append(np.sort(non_members)[::-1], -np.inf)[num_allowed]
    return thresholds


def _to_numpy(scores: Tensor) -> Floats:
    """Returns the scores.

    Raises:
        DivergedError: one is no number. Sorted, it would count as a score, and the AUC of a broken model would be 0.5.
    """
    array: Floats = scores.double().cpu().numpy()
    if np.isnan(array).any():
        raise DivergedError("it cannot be measured what a model tells whose weights or answers are no numbers")
    return array
