"""How often the alarms refuse exact retraining, together and each, and the bound that follows from what was seen of it.

Each alarm has the same share of the joint chance (Bonferroni): by it they refuse no more often together, however much
they depend on one another. FT AUC has a fixed margin that exact retraining hardly ever reaches, and accuracy a chance
of its own (`amun.audit.expected`).
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

MAX_ALARMED = 0.05  # of exactly retrained models: the share that the alarms refuse by chance
ALARMS = ("spread", "overlooked people", "trace", "trace by person", "weights by person")
ALARM_ALPHA = MAX_ALARMED / len(ALARMS)


def bound_surprise(seen: Sequence[float], num_independent: int) -> float:
    """Returns the bound that one more figure like those seen exceeds with `ALARM_ALPHA`, were all normal (Student).

    Args:
        seen: figures of models that are taken for exactly retrained ones; two at least.
        num_independent: how many of them are independent of one another.
    """
    reach = stdtrit(num_independent - 1, 1 - ALARM_ALPHA) * np.sqrt(1 + 1 / num_independent)
    return float(np.mean(seen) + reach * np.std(seen, ddof=1))
