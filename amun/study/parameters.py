"""The search for each method's learning rate, schedule and own parameter: the same number of trials for all.

Every method tries the same points of one quasi-random sequence, in a setting on a forget set that is not reported.
What is chosen comes nearest to exact retraining with the calibration half; the test half is never looked at.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import qmc

from amun.methods.catalogue import find_method
from amun.params import AttemptParams, Schedule
from amun.study.methods import make_attempt
from amun.study.preset import Chosen
from amun.study.records import RETRAIN, Record, Setting, Trial
from amun.study.statistics import measure_gaps
from amun.study.study import SEARCH_SET

SEED = 0  # of the base that the search begins with, and of the sequence


@dataclass(frozen=True)
class Range:
    """From where to where a parameter is tried.

    Attributes:
        low: the least.
        high: the most.
        scale: `log`, `linear`, or `whole` for whole numbers.
    """

    low: float
    high: float
    scale: str

    def __str__(self) -> str:
        """Returns the range in words."""
        words = {"log": "evenly by its logarithm", "linear": "evenly", "whole": "evenly, whole numbers"}
        return f"{self.low:g} to {self.high:g}, {words[self.scale]}"

    def place(self, position: float) -> float | int:
        """Returns the value at a position from 0 to 1, to three digits."""
        if self.scale == "whole":
            return int(min(self.high, self.low + int(position * (self.high - self.low + 1))))
        if self.scale == "log":
            return float(f"{self.low * (self.high / self.low) ** position:.3g}")
        return float(f"{self.low + (self.high - self.low) * position:.3g}")


RANGES = {
    "learning_rate": Range(0.0005, 0.3, "log"),
    "clip_norm": Range(0.1, 10, "log"),
    "fgsm_step": Range(0.02, 0.5, "log"),
    "l1_penalty": Range(0.00001, 0.01, "log"),
    "mask_fraction": Range(0.1, 0.9, "linear"),
    "ascent_share": Range(0.1, 0.9, "linear"),
    "label_mix": Range(0, 1, "linear"),
    "forget_weight": Range(1, 4, "whole"),
}
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
                RANGES["learning_rate"].place(rate),
                None if own is None else RANGES[own].place(parameter),
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
        parameter=None if own is None else getattr(trial.attempt, own),
    )


def list_tried(methods: Sequence[str]) -> Mapping[str, Range]:
    """Returns the ranges that matter for these methods."""
    own = {find_method(method).parameter for method in methods}
    return {name: found for name, found in RANGES.items() if name == "learning_rate" or name in own}
