"""The search for each method's learning rate, schedule and own parameter: the same number of trials for all.

Every method tries the same points of one quasi-random sequence, in a setting on a forget set that is not reported.
What is chosen comes nearest to exact retraining with the calibration half; the test half is never looked at.
"""

from collections.abc import Iterable, Mapping, Sequence

from scipy.stats import qmc

from amun.core.params import AttemptParams, Schedule
from amun.methods.catalogue import find_method
from amun.methods.method import LEARNING_RATES, Range
from amun.study.methods import make_attempt
from amun.study.preset import Chosen
from amun.study.records import RETRAIN, Record, Setting, Trial
from amun.study.statistics import measure_gaps
from amun.study.study import SEARCH_SET

SEED = 0  # of the base that the search begins with, and of the sequence


SCHEDULES: tuple[Schedule, Schedule] = ("constant", "cosine")


def list_search_trials(method: str, setting: Setting, share: float, num_trials: int) -> list[Trial]:
    """Returns the trials of the search for a method in a setting."""
    points = qmc.Halton(3, seed=SEED).random(num_trials)
    own = find_method(method).parameter
    return [
        _make_trial(
            setting,
            share,
            make_attempt(
                method,
                LEARNING_RATES.place(rate),
                None if own is None else own.tried.place(parameter),
            ),
            SCHEDULES[int(schedule * 2)],
        )
        for rate, schedule, parameter in points.tolist()
    ]


def make_yardstick(share: float) -> Trial:
    """Returns the trial of exact retraining that the search compares with."""
    return _make_trial("use", share, make_attempt(RETRAIN, None, None), "cosine")


def _make_trial(setting: Setting, share: float, attempt: AttemptParams, schedule: Schedule) -> Trial:
    return Trial(
        kind="search",
        setting=setting,
        attempt=attempt,
        schedule=schedule,
        share=share,
        forget_set=SEARCH_SET,
        seed=SEED,
    )


def choose(records: Iterable[Record], yardstick: Record) -> Chosen | None:
    """Returns the parameters with the least average gap with RMIA; None where every trial failed."""
    if yardstick.calibration is None:
        raise ValueError("exact retraining has no figures")
    gaps = [
        (measure_gaps(record.calibration, yardstick.calibration).average_rmia, number, record.trial)
        for number, record in enumerate(records)
        if record.calibration is not None
    ]
    return describe_trial(min(gaps)[2]) if gaps else None


def describe_trial(trial: Trial) -> Chosen:
    """Returns the parameters of a trial."""
    if trial.attempt is None or trial.attempt.learning_rate is None:
        raise ValueError(f"{trial.method} has no learning rate")
    own = find_method(trial.method).parameter
    return Chosen(
        learning_rate=trial.attempt.learning_rate,
        schedule=trial.schedule,
        parameter=None if own is None else trial.attempt.own[own.name],
    )


def list_tried(methods: Sequence[str]) -> Mapping[str, Range]:
    """Returns the ranges that matter for these methods."""
    own = [find_method(method).parameter for method in methods]
    return {"learning_rate": LEARNING_RATES} | {found.name: found.tried for found in own if found is not None}
