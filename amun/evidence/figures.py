"""The figures that the stages of a wave write, as records.

A workspace keeps those of earlier versions: what a version did not measure yet is None, what is no longer told is
left out.
"""

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import ConfigDict, Field

from amun.core.paths import (
    ADVERSARIAL_METRICS,
    AUDIT_METRICS,
    COMPARISON,
    PREPARE_METRICS,
    REPORT_METRICS,
    TRAIN_METRICS,
    UNLEARN_METRICS,
)
from amun.evidence.wave import CURRENT, Record, parse_record

# a figure that most waves do not have: where it is None, the file does not name it
Rare = Annotated[float | None, Field(exclude_if=lambda value: value is None)]
# whose key makes the ids of a base's samples
NamedBy = Literal["secret", "person"]
# a count that most bases do not have: where it is 0, the file does not name it
RareCount = Annotated[int, Field(exclude_if=lambda value: value == 0)]


class Figures(Record):
    """What one stage, or one step, has measured."""

    model_config = ConfigDict(extra="ignore")


AnyFigures = TypeVar("AnyFigures", bound=Figures)


class Twins(Figures):
    """How many samples have the same picture as another, and of what kind.

    Attributes:
        num_samples: with a picture that another person has too.
        num_people: who own one.
        num_labels: with a picture that has several labels.
        num_apart: held out while the same picture is trained on under another name.
    """

    num_samples: int
    num_people: int
    num_labels: int
    num_apart: int


class PrepareFigures(Figures):
    """Counts and facts of the source; nothing that names a person.

    Attributes:
        num_train: samples in the split; likewise the others.
        num_excluded: samples of the source whose people are forgotten.
        num_suppressed: samples besides that show an erased person or are an erased person's.
        num_suppressed_pictures: those of them that are known by the picture alone.
        num_near: people taken in whose ids may be meant for an erased person's.
        twins: pictures that stand there more than once; None where an earlier version did not look.
        classes: their names, in the order of their labels; a person's name among them as its keyed id. None in a
            workspace whose base was prepared before they were kept.
        people_digest: of who was invented for which image; None where the source names its subjects.
        revision: which state of the source it was, where it has one.
        samples_named_by: whose key makes the samples' ids: the workspace's secret alone, as in all bases of earlier
            releases and where data lie in clear, or each person's own key besides.
    """

    num_train: int
    num_calibration: int
    num_test: int
    num_excluded: int
    num_suppressed: RareCount = 0
    num_suppressed_pictures: RareCount = 0
    num_near: RareCount = 0
    twins: Twins | None = None
    classes: list[str] | None = None
    people_digest: str | None = None
    revision: dict[str, str] | None = None
    samples_named_by: Annotated[NamedBy, Field(exclude_if=lambda value: value == "secret")] = "secret"


class TrainFigures(Figures):
    """How good a new base is.

    Attributes:
        train_accuracy: 0 to 1, on what it was trained on.
        calibration_accuracy: likewise, on the calibration half.
        warning: what speaks against an adopted base's training samples being those it was said to be trained on; an
            empty text where nothing does. None for a base trained here.
    """

    train_accuracy: float
    calibration_accuracy: float
    warning: Annotated[str | None, Field(exclude_if=lambda value: value is None)] = None


class AdversarialFigures(Figures):
    """What the search for adversarial examples came to.

    Attributes:
        num_forget: samples to forget.
        num_missing: those without an adversarial example.
        mean_delta_norm: L2 distance of the examples to their samples, pixels in [0, 1].
    """

    num_forget: int
    num_missing: int
    mean_delta_norm: float | None = None


class UnlearnFigures(Figures):
    """Which attempt was made.

    Attributes:
        attempt: its number, from 1.
        method: its name; `none` where nothing was to be forgotten, or a base was built.
        is_exact: the model was trained anew without the people.
    """

    attempt: int
    method: str
    is_exact: bool


class ModelFigures(Figures):
    """What one held-out half shows of a model.

    Attributes:
        accuracy: 0 to 1, on that half.
        memory_left: how much of the base's memory of the wave's people is left: 0 as exact retraining, 1 as the base.
        memory_left_lower: a bound of it; likewise the upper one.
        spread: how far people stand out on both sides.
        max_spread: how far they may.
        overlooked: the sign that some people are remembered among others: a mean log-likelihood ratio by person.
        max_overlooked: how strong it may be.
        num_standing_out: how many people stand out further than the largest of so many may by chance.
        noticed: the least share of the people for whom memory left would have refused with 80 %, had they not been
            forgotten at all and the others exactly; None where there is none, or the night is insufficient.
        ft_auc: by which RMIA tells the forget samples from held-out ones.
        trace: by which whoever holds the base does.
        trace_by_person: likewise, of people by all their samples together.
        max_trace_by_person: its bound. An AUC a is as telling as 1 - a, so the larger of the two is compared. Exact
            retraining seldom exceeds it; a bound of 1 and more refuses nothing. None where no model was retrained to
            see that.
        weights_by_person: by which whoever holds the base's weights tells people from those of the model; None where an
            earlier version did not look.
        max_weights_by_person: likewise its bound.
    """

    accuracy: float | None = None
    memory_left: float | None = None
    memory_left_lower: float | None = None
    memory_left_upper: float | None = None
    spread: float | None = None
    max_spread: float | None = None
    overlooked: float | None = None
    max_overlooked: float | None = None
    num_standing_out: int | None = None
    noticed: float | None = None
    ft_auc: float | None = None
    trace: float | None = None
    trace_by_person: float | None = None
    max_trace_by_person: Rare = None
    weights_by_person: Rare = None
    max_weights_by_person: Rare = None

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The bounds of memory left; None where it could not be bounded."""
        lower, upper = self.memory_left_lower, self.memory_left_upper
        return None if lower is None or upper is None else (lower, upper)


class Comparison(ModelFigures):
    """What exact retraining shows on the test half."""


class HalfFigures(ModelFigures):
    """What one held-out half shows of base and unlearned model.

    Attributes:
        num_forget: training samples that the wave forgets.
        accuracy_base: of the base; likewise other figures of that ending.
        standard_error: of the FT AUC.
        trace_standard_error: of the trace.
        confidence_auc: by which the confidence in the true label alone tells forget samples from held-out ones.
        not_measured: which figures are missing whatever the wave, and why; None where none is.
    """

    num_forget: int = 0
    accuracy_base: float | None = None
    ft_auc_base: float | None = None
    standard_error: float | None = None
    trace_standard_error: float | None = None
    confidence_auc_base: float | None = None
    confidence_auc: float | None = None
    not_measured: str | None = None


class AuditFigures(HalfFigures):
    """The calibration half, by which the gate judges.

    Attributes:
        num_calibration: its samples whose people are still held.
        num_references: how many models the membership attack compares with; None where an earlier version did not say.
        refuting_lower: a bound of memory left by the references as they are, which refutes in an insufficient night;
            likewise the upper one. None where the bounds by which an attempt passes are the same.
    """

    num_calibration: int = 0
    num_references: int | None = None
    refuting_lower: Rare = None
    refuting_upper: Rare = None

    @property
    def refuting_bounds(self) -> tuple[float, float] | None:
        """The bounds of memory left that refute: they are not widened for the images left."""
        lower, upper = self.refuting_lower, self.refuting_upper
        return self.bounds if lower is None or upper is None else (lower, upper)


class ReportFigures(HalfFigures):
    """The test half, looked at once, after the gate has decided.

    Attributes:
        num_test: samples of the half whose people are still held.
        remain_accuracy: on the training samples that remain.
        trace_by_person_standard_error: of the trace by person.
        weights_by_person_standard_error: of what the weights tell.
        svc_correctness: the share of the forget samples that the SVC attack calls never seen, by that feature; likewise
            the others. Only where there are no references.
    """

    num_test: int = 0
    remain_accuracy: float | None = None
    trace_by_person_standard_error: float | None = None
    weights_by_person_standard_error: Rare = None
    svc_correctness: Rare = None
    svc_confidence: Rare = None
    svc_entropy: Rare = None
    svc_modified_entropy: Rare = None
    svc_probabilities: Rare = None


PATHS: dict[type[Figures], Path] = {
    PrepareFigures: PREPARE_METRICS,
    TrainFigures: TRAIN_METRICS,
    AdversarialFigures: ADVERSARIAL_METRICS,
    UnlearnFigures: UNLEARN_METRICS,
    AuditFigures: AUDIT_METRICS,
    ReportFigures: REPORT_METRICS,
    Comparison: COMPARISON,
}


def read_figures(kind: type[AnyFigures], workspace: Path = CURRENT) -> AnyFigures:
    """Returns a stage's figures in a workspace.

    Raises:
        FileNotFoundError: the stage has not run.
        AmunError: the file is damaged.
    """
    path = workspace / PATHS[kind]
    return parse_record(kind, path.read_text(encoding="utf-8"), str(path))
