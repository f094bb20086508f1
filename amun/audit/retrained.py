"""The null of exact retraining: how large a trace by person may be, as models show that were retrained with the base.

Exact retraining leaves a trace, too. How large a one depends on the data: of people whom the base had learned by heart
a new model changes its mind more than of strangers. So some models are retrained exactly when the base is built, each
without other people. Source: ours; the bound is that of one more draw of a normal distribution (Student's t), with the
degrees of freedom of Satterthwaite (1946).
"""

import numpy as np
from scipy.special import stdtrit

from amun.audit.observations import MIN_PEOPLE
from amun.audit.roc import auc_standard_error
from amun.core.params import MIN_RETRAINED
from amun.evidence.wave import RetrainedFigures

ALARM_ALPHA = 0.01  # of exactly retrained models: the share that this alarm refuses by chance, if traces are normal
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
    """Returns the largest trace by person, or mirror image of one, that is no surprise of exact retraining.

    One in a hundred exactly retrained models lies above it, and up to two where trainings scatter much more than who is
    drawn (docs/method.md): what is bounded is folded at one half, so its law is no normal one. The variance between the
    models holds that of who is drawn and that between trainings. It is taken to be no less than that of who is drawn
    alone, so that few models that are alike by chance bind nobody. A night of fewer people adds what it scatters more;
    one of more people gains nothing.

    Args:
        retrained: what the models showed.
        num_people: whom tonight's trace compares, to forget and held out.

    Returns:
        1 or more where exact retraining may show anything, and nothing is refused; None with fewer than four models, or
        fewer than twelve people of either kind.
    """
    if retrained is None or len(retrained.trace_by_person) < MIN_RETRAINED or min(num_people) < MIN_PEOPLE:
        return None
    traces = np.array(retrained.trace_by_person)
    shown, num_models = np.maximum(traces, 1 - traces), len(traces)
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
