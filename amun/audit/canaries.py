"""Canaries: people who are nobody's, forgotten along with those who asked, so that the run can be judged by them.

Three of them are like each who asked, in the number of their images and in how much a model remembers of them. The
others are each like a training person drawn by chance, so that the night is like one in which so many had asked, by
which the bounds of the gate were set. How much a model remembers is what references tell that had the person.

Figures are of canaries alone. Those who asked, who may be one person, are looked at by one alarm: whether they look
more remembered than the run leaves canaries.

Source: ours. Nearest neighbours within a caliper, without replacement (Rosenbaum and Rubin 1985); the alarm is the test
of a prediction by a regression through the origin.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.special import ndtr, stdtrit

from amun.audit.observations import Floats, Mask
from amun.core.params import MIN_CANARIES

MAX_RATIO = 2.0  # of images, and of scores, between somebody and a canary like them
LEAST_SCORE = 1.0  # below it somebody is hardly remembered, and that is all there is to match
NUM_LIKE = 3  # canaries like each who asked; fewer where more have asked than a third of the canaries
MAX_UNLIKE = 0.05  # of the people drawn by chance: the share of whom the pool may have nobody like them
ALPHA = 0.05  # of nights in which all are treated alike: those who asked seem to stand apart in at most this share
_BARRED = 1e6  # a distance that is taken only where nothing else is left

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Likeness:
    """By what people are matched.

    Attributes:
        num_samples: (P,) training images of each person.
        scores: (P,) how far each stands out from a model that remembers them as references do, in deviations of one
            that does not.
    """

    num_samples: Floats
    scores: Floats

    def select(self, rows: slice | Positions) -> "Likeness":
        """Returns that of some of the people."""
        return Likeness(self.num_samples[rows], self.scores[rows])

    def find_distances(self, pool: "Likeness") -> Floats:
        """Returns (P, Q) how many times as many images, or as large a score, one of each two has, as a logarithm."""
        images, scores = (
            np.abs(np.subtract.outer(np.log(own), np.log(others)))
            for own, others in (
                (self.num_samples, pool.num_samples),
                (np.maximum(self.scores, LEAST_SCORE), np.maximum(pool.scores, LEAST_SCORE)),
            )
        )
        farthest: Floats = np.maximum(images, scores)
        return farthest


def match_canaries(asked: Likeness, drawn: Likeness, pool: Likeness, number: int) -> Positions:
    """Returns the positions in the pool of so many canaries, or of a few less.

    Args:
        asked: the P people who asked, at least one.
        drawn: training people drawn by chance, at least as many as canaries.
        pool: the Q people who may be taken.
        number: of canaries.

    Returns:
        Nobody where the pool has too few people like somebody who asked, or like those drawn: the run would say nothing
        of such people, or be another than that of a night in which so many had asked.
    """
    nobody = np.empty(0, dtype=np.int64)
    each = min(NUM_LIKE, number // len(asked.scores))
    alike = _assign(asked.select(np.tile(np.arange(len(asked.scores)), each)), pool)
    num_alike = each * len(asked.scores)
    if not each or len(alike) < num_alike:
        return nobody
    rest = np.setdiff1d(np.arange(len(pool.scores)), alike)
    num_drawn = number - num_alike
    others = rest[_assign(drawn.select(slice(num_drawn)), pool.select(rest))]
    if len(others) < (1 - MAX_UNLIKE) * num_drawn:
        return nobody
    return np.concatenate([alike, others])


def _assign(people: Likeness, pool: Likeness) -> Positions:
    """Returns the positions of canaries in the pool, one for each person who can get one within `MAX_RATIO`.

    As many people as can be get one, and these the nearest on the whole.
    """
    distances = people.find_distances(pool)
    is_barred = distances > np.log(MAX_RATIO)
    rows, columns = linear_sum_assignment(np.where(is_barred, _BARRED, distances))
    taken: Positions = columns[~is_barred[rows, columns]]
    return taken


@dataclass(frozen=True)
class RunScores:
    """How far the people of one run stand out on a model.

    Attributes:
        people: (P,) those who asked, and canaries.
        scores: (P,) how far each stands out, in deviations of somebody whom the model never had.
        expected: (P,) how far they would on a model that remembers them as references do.
        is_canary: (P,) who has not asked.
    """

    people: npt.NDArray[np.str_]
    scores: Floats
    expected: Floats
    is_canary: Mask

    @property
    def is_apart(self) -> bool:
        """Whether those who asked look more remembered than the run leaves canaries, together or one of them.

        An attempt that leaves a share of what was remembered leaves it of everybody: that share is fitted to canaries,
        and what those who asked show beyond it is compared with what as many more people would, by Student's quantile.
        It looks to one side: those who are pushed below strangers are not seen by it. What is no number stands apart.
        """
        share, scatter, square = self._fit()
        own = self.expected[~self.is_canary]
        beyond = (self.scores[~self.is_canary] - share * own) / scatter
        together = beyond.mean() <= self._reach(float(own.mean()), len(own), square)
        freedom = int(self.is_canary.sum()) - 1
        largest = stdtrit(freedom, 1 - _share_alpha(len(own)) / len(own)) * np.sqrt(1 + own**2 / square)
        return not (together and bool((beyond <= largest).all()))

    def find_power(self) -> float:
        """Returns the chance, 0 to 1, to see that none of those who asked was forgotten, and all of the canaries were.

        These are the scores on the base. Of those who asked, who may be one person, no more is used than which canaries
        are the most like them: it is told what the alarm would see of these. That of one person among several is not.
        """
        share, scatter, square = self._fit()
        of_canaries, own = self.expected[self.is_canary], self.expected[~self.is_canary]
        distances = np.abs(np.subtract.outer(np.maximum(own, LEAST_SCORE), np.maximum(of_canaries, LEAST_SCORE)))
        nearest = np.argsort(distances, axis=1, kind="stable")[:, :NUM_LIKE]
        expected = float(of_canaries[nearest].mean())
        # whoever is forgotten scatters by 1, and whoever is not as canaries do on the base
        deviation = np.sqrt(scatter**2 / len(own) + expected**2 / square)
        return float(ndtr((share * expected - self._reach(expected, len(own), square)) / deviation))

    def _fit(self) -> tuple[float, float, float]:
        """Returns the share of the expected scores that canaries have, their scatter around it, and what carries it."""
        scores, expected = self.scores[self.is_canary], self.expected[self.is_canary]
        square = float(expected @ expected) or 1.0
        share = float(np.maximum(0.0, scores @ expected / square))
        residuals = scores - share * expected
        # whoever is forgotten scatters by 1: canaries that are alike by chance do not make others suspect
        scatter = float(np.maximum(1.0, np.sqrt(residuals @ residuals / (len(scores) - 1))))
        return share, scatter, square

    def _reach(self, expected: float, num_people: int, square: float) -> float:
        """Returns the largest mean of so many people that is no surprise, the error of the fitted share in it."""
        quantile = stdtrit(int(self.is_canary.sum()) - 1, 1 - _share_alpha(num_people))
        return float(quantile * np.sqrt(1 / num_people + expected**2 / square))


def _share_alpha(num_people: int) -> float:
    """Returns the part of `ALPHA` of the mean; as much is left for the largest, which of one person is the mean."""
    return ALPHA if num_people == 1 else ALPHA / 2


def has_enough(is_canary: Mask) -> bool:
    """Returns whether those who asked can be compared with canaries at all."""
    return int(is_canary.sum()) >= MIN_CANARIES and not is_canary.all()
