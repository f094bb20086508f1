"""Whether some of tonight's people look as if they had been overlooked, among others who are forgotten.

A few who are remembered as before hardly move the memory left of all together. Each person's own excess says little,
but a person is either remembered as references remember those whom they had, or not at all: that is a likelihood ratio.
The mixture of both, against nobody remembered, is the strongest test of it (Neyman and Pearson 1933).
"""

import numpy as np

from amun.audit.observations import Floats

SHARE = 1 / 6  # of the people, who are looked for; the test hardly depends on it


def weigh_overlooked(contributions: Floats, scales: Floats) -> float:
    """Returns the mean log-likelihood ratio of a person, a sixth of them remembered against nobody.

    Args:
        contributions: (P,) the weighted excess of each person.
        scales: (P,) what it is on average for a person whom a reference was trained on.
    """
    ratios = contributions - scales / 2  # of normal excesses, each image's variance being in its weight
    return float(np.logaddexp(np.log1p(-SHARE), np.log(SHARE) + ratios).mean())
