"""Who of tonight's people stands out: one score for each person, and how large the largest may be by chance.

The score is the weighted excess of a person's images, in standard deviations of what the references show of people whom
they never had. It is an attack on one person by all of their images, and the sharper the more the base remembers. The
largest of many scores is large by chance as well: the bound is Bonferroni's, for as many as there are tonight.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls
from scipy.special import ndtri

from amun.audit.observations import Floats

FAMILY_ALPHA = 0.05  # the chance that anybody of people who are all forgotten stands out


@dataclass(frozen=True)
class Excesses:
    """What people show beyond what is expected of them.

    Attributes:
        values: (P,) the weighted excess of each person's samples.
        scales: (P,) what it is on average for a person whom a reference was trained on. It is the variance for one whom
            none was trained on, too, if samples of one person are no more alike than others.
        num_samples: (P,) how many samples that is of.
    """

    values: Floats
    scales: Floats
    num_samples: Floats

    def as_remembered(self) -> "Excesses":
        """Returns those of the same people on a model that remembers them as references do."""
        return Excesses(self.scales, self.scales, self.num_samples)

    def standardise(self) -> Floats:
        """Returns (P,) the excesses in deviations of people whose samples are no more alike than others."""
        deviations = np.sqrt(self.scales)
        return np.divide(self.values, deviations, out=np.zeros_like(self.values), where=deviations > 0)


@dataclass(frozen=True)
class Scatter:
    """How the excess of people whom nobody remembers scatters, as a multiple of its variance for unlike samples.

    Attributes:
        of_one: of a person with one sample, above 0; not a number where there was nobody to tell it by.
        of_more: added for each further sample, since those of one person are alike.
    """

    of_one: float
    of_more: float

    def score(self, people: Excesses) -> Floats:
        """Returns (P,) how far people stand out, in standard deviations."""
        scores: Floats = people.standardise() / np.sqrt(self.of_one + self.of_more * (people.num_samples - 1))
        return scores


def fit_scatter(strangers: Sequence[Excesses]) -> Scatter:
    """Returns the scatter that fits the excesses of people whom references never had, by weighted least squares."""
    if not strangers:
        return Scatter(np.nan, 0.0)
    squares = np.concatenate([np.square(people.standardise()) for people in strangers])
    num_samples = np.concatenate([people.num_samples for people in strangers])
    # a square scatters in proportion to its mean: a person with many samples would decide alone
    rows = np.stack([1 / num_samples, (num_samples - 1) / num_samples], axis=1)
    (of_one, of_more), _ = nnls(rows, squares / num_samples)
    return Scatter(float(of_one), float(of_more)) if of_one > 0 else Scatter(float(squares.mean()), 0.0)


def bound_scores(num_people: int) -> float:
    """Returns the score that the largest of so many people reaches by chance with a probability of about 5 %."""
    return float(ndtri(1 - FAMILY_ALPHA / num_people))
