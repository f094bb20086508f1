"""The null of exact retraining: what whoever holds the base may see, as models show that were retrained with the base.

Exact retraining leaves a trace, too, and its weights tell. How much they do depends on the data: of people whom the
base had learned by heart a new model changes its mind more than of strangers. So some models are retrained exactly
when the base is built, each without other people. Source: ours; the bound is that of one more draw of a normal
distribution (Student's t), with the degrees of freedom of Satterthwaite (1946).
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

from amun.audit.observations import MIN_PEOPLE
from amun.audit.roc import auc_standard_error
from amun.core.params import MIN_RETRAINED
from amun.evidence.wave import RetrainedFigures

ALARM_ALPHA = 0.01  # of exactly retrained models: the share that each alarm refuses by chance, if all is normal
NUM_PEOPLE = 75  # whom each model is retrained without, as many as a night that can show forgetting has
MAX_SHARE = 0.25  # of all people in training: without more it would be another recipe


def count_left_out(num_people: int, num_held_out: int) -> int:
    """Returns without how many people each model is retrained; 0 where no figure would come of it.

    Args:
        num_people: in training.
        num_held_out: in calibration, among whom each model's strangers are drawn.
    """
    num_drawn = min(NUM_PEOPLE, int(MAX_SHARE * num_people))
    return num_drawn if min(num_drawn, num_held_out) >= MIN_PEOPLE else 0


def bound_trace(retrained: RetrainedFigures | None, num_people: tuple[int, int]) -> float | None:
    """Returns the bound on the trace by person; None where no model was retrained to see it (`_bound`)."""
    return None if retrained is None else _bound(retrained.trace_by_person, retrained, num_people)


def bound_weights(retrained: RetrainedFigures | None, num_people: tuple[int, int]) -> float | None:
    """Returns the bound on what the weights tell by person; None where none was retrained to see it (`_bound`)."""
    return None if retrained is None else _bound(retrained.weights_by_person, retrained, num_people)


def _bound(seen: Sequence[float], retrained: RetrainedFigures, num_people: tuple[int, int]) -> float | None:
    """Returns the largest AUC by person, or mirror image of one, that is no surprise of exact retraining.

    One in a hundred exactly retrained models lies above it, and up to two where the variance between trainings is much
    larger than that of drawing the people (docs/method.md): an AUC below one half is mirrored, so what is bounded is
    not normal. The variance between the models is the sum of both. It is taken to be no less than that of drawing the
    people, so that a few models that are alike by chance refuse nobody. A night of fewer people adds the variance of
    fewer people; a night of more people gains nothing.

    Args:
        seen: the AUC of each model.
        retrained: whom they were retrained without, and compared with.
        num_people: whom tonight's figure compares, to forget and held out.

    Returns:
        1 or more where exact retraining may show anything, and nothing is refused; None with fewer than four models, or
        fewer than twelve people of either kind.
    """
    if len(seen) < MIN_RETRAINED or min(num_people) < MIN_PEOPLE:
        return None
    aucs = np.array(seen)
    shown, num_models = np.maximum(aucs, 1 - aucs), len(aucs)
    drawn, tonight = (
        auc_standard_error(*counts) ** 2 for counts in ((retrained.num_people, retrained.num_strangers), num_people)
    )
    # of one more model, beside a mean over so many
    models = max(float(shown.var(ddof=1)), drawn) * (1 + 1 / num_models)
    fewer = max(0.0, tonight - drawn)
    freedom = (models + fewer) ** 2 / (models**2 / (num_models - 1) + fewer**2 / (min(num_people) - 1))
    # by more degrees of freedom fewer people would come out surer than as many as were drawn
    reach = max(
        stdtrit(degrees, 1 - ALARM_ALPHA) * np.sqrt(variance)
        for degrees, variance in ((num_models - 1, models), (freedom, models + fewer))
    )
    return float(shown.mean() + reach)
