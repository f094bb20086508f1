"""What a benchmark keeps of each run: a small JSON file without anything that tells of a single sample."""

import hashlib
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from amun.core.params import EXACT_METHOD, AttemptParams, Schedule

Setting = Literal["use", "none"]
SETTINGS: dict[Setting, str] = {"use": "with the remain set", "none": "without the remain set"}
Pair = tuple[Setting, str]  # a setting, and a method by name
Kind = Literal["search", "table", "delta", "waves"]
NUM_BINS = 20  # of a histogram of confidence, from 0 to 1
BASE, RETRAIN, AMUN, AMUN_A = "base", EXACT_METHOD, "amun", "amun_a"


class Kept(BaseModel):
    """Frozen and complete, as it is read back."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Attack(Kept):
    """How well RMIA tells two sets of equal size apart, the mean over the draws; the more likely members first.

    Attributes:
        auc: 0 to 1.
        tpr_at_0_1: share of the members found at a false positive rate of 0.1 %.
        tpr_at_1: at 1 %.
    """

    auc: float
    tpr_at_0_1: float
    tpr_at_1: float


class Figures(Kept):
    """What a model shows with one held-out half; accuracies and shares are 0 to 1.

    Attributes:
        unlearn_accuracy: UA, on the forget set.
        remain_accuracy: RA, on the remain set.
        held_out_accuracy: TA, on the half.
        ft: forget set against the half.
        fr: remain set against forget set.
        rt: remain set against the half.
        svc_confidence: share of the forget set that the SVC attack on confidence calls non-members.
        trace: AUC of the attacker who holds the base; None below 20 adversarial examples.
    """

    unlearn_accuracy: float
    remain_accuracy: float
    held_out_accuracy: float
    ft: Attack
    fr: Attack
    rt: Attack
    svc_confidence: float
    trace: float | None


class Costs(Kept):
    """What a run took.

    Attributes:
        seconds: of wall clock, the search for D_A included where the method uses it.
        num_gradients: samples in all backward passes, the search included.
        peak_mib: of the accelerator's memory; on a CPU the largest the process was meanwhile.
    """

    seconds: float
    num_gradients: int
    peak_mib: float


class Trial(Kept):
    """One run of one method: what it is given.

    Attributes:
        kind: what the run is for.
        setting: `use` with the remain set, `none` without.
        attempt: method, learning rate and the method's own parameter; null for the untouched base.
        schedule: of the learning rate.
        share: of the training samples that are forgotten, 0 to 1.
        forget_set: number of the draw.
        seed: of base, retraining and unlearning.
        delta_factor: how many times farther than needed the adversarial examples are taken.
    """

    kind: Kind
    setting: Setting
    attempt: AttemptParams | None
    schedule: Schedule
    share: float
    forget_set: int
    seed: int
    delta_factor: float = 1.0

    @property
    def method(self) -> str:
        """The method's name; `base` for the untouched base."""
        return BASE if self.attempt is None else self.attempt.method

    @property
    def is_exact(self) -> bool:
        """Whether this is exact retraining, with which all others are compared."""
        return self.method == RETRAIN


def digest_trial(trial: Trial) -> str:
    """Returns a short digest of all that a trial is given."""
    return hashlib.sha256(trial.model_dump_json().encode()).hexdigest()[:12]


class Record(Kept):
    """What came of a trial.

    Attributes:
        trial: what was run.
        failure: why nothing came of it, in one line; then there is nothing else.
        calibration: figures with the calibration half, the only ones a search for parameters sees.
        test: figures with the test half.
        waves: of `waves` trials, for each wave in turn figures (test half) of what it forgot.
        waves_all: likewise of all forgotten so far.
        costs: of all waves together where there are several.
        test_accuracies: on the test half after each epoch, where that was asked for.
        confidence: for `forget`, `remain` and `test` the shares of samples in bins of confidence in their label.
        parameter_distance: L2 distance of all weights to those of exact retraining.
        mean_delta_norm: of the adversarial examples used.
        clamped_share: share of the pixels that a farther example left at 0 or 1 and the nearest one did not.
        flipped_share: share of the farther examples that the base labels otherwise than the nearest one.
    """

    trial: Trial
    failure: str | None = None
    calibration: Figures | None = None
    test: Figures | None = None
    waves: list[Figures] = Field(default_factory=list)
    waves_all: list[Figures] = Field(default_factory=list)
    costs: Costs | None = None
    test_accuracies: list[float] = Field(default_factory=list)
    confidence: dict[str, Annotated[list[float], Field(min_length=NUM_BINS, max_length=NUM_BINS)]] = Field(
        default_factory=dict
    )
    parameter_distance: float | None = None
    mean_delta_norm: float | None = None
    clamped_share: float | None = None
    flipped_share: float | None = None
