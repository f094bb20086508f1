"""`params.yaml` as frozen, strict models: unknown, missing and mistyped keys are refused in one line.

What a source, a search or a method takes is written in its own file; `amun.params` checks that too.
"""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from amun.core.counts import tell_count
from amun.core.errors import InputError, join_lines

Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]
Schedule = Literal["cosine", "constant"]
Augmentation = Literal["none", "flip_crop"]
Policy = Literal["in_order", "cheapest"]


NUM_CRON_FIELDS = 5
MIN_EARLIER_PEOPLE = 12  # fewer at a time, and nothing is ever computed of them
MIN_CANARIES = 12  # fewer, and those who asked are compared with nobody
MIN_RETRAINED = 4  # fewer, and their spread says too little to bound anything by it
MAX_WAITING_DAYS = 24  # a month less nights that may fail, and one of retraining: whoever asks is erased within a month
# new keys, and what to write where nothing is decided: what keeps the old behaviour, if anything does
ADDED_KEYS = {
    "audit.canaries": "0",
    "audit.earlier_people": "0",
    "alerts": "{mail_to: [], mail_from: null, command: [], mute: [], due_days: 5, silent_hours: 26}",
    "data.canaries": "null",
    "data.sealed": "false",
    "data.source_delete": "false",
    "data.stored_as": "pixels",
    "data.twins": "keep",
    "erasure": "{waiting_days: 7, scan: true}",
    "intake.approvals": "0",
    "receipts": "{retention_days: 1095}",
    "references.num_retrained": "0",
    "runtime.engine": "local",
    "runtime.memory_gib": "null",
    "training.fallback_gradient_norm": "null",
    "unlearning.policy": "in_order",
    "wave": "{max_requests: null, max_forget_share: null}",
}
# keys that are gone, and what to do instead
REMOVED_KEYS = {
    "gate.pool_samples": "people forgotten earlier are no evidence about tonight's, who are judged alone; remove it",
}


class Section(BaseModel):
    """A block of `params.yaml`; all of its keys must be there."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


SectionT = TypeVar("SectionT", bound=Section)


class ModelParams(Section):
    """Which model: its name in every tool, and how it is built."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    architecture: str
    options: dict[str, Any]


class ImagesParams(Section):
    """How a source's images are made alike; arrays of floats must be so already."""

    colour: Literal["greyscale", "rgb", "rgba"]
    size: Annotated[tuple[Count, Count], Field(strict=False)] | None
    resize: Literal["refuse", "stretch", "crop", "pad"]
    transparent: Literal["white", "black"]

    @model_validator(mode="after")
    def check_size(self) -> Self:
        """Refuses to resize to nothing in particular."""
        if self.size is None and self.resize != "refuse":
            raise ValueError(f"resize: {self.resize} needs a size: height and width in pixels")
        return self


class DataParams(Section):
    """Where samples come from and how they are split."""

    source: str
    root: str | None
    options: dict[str, Any]
    images: ImagesParams
    stored_as: Literal["pixels", "encoded"]
    num_samples: Count | None
    train_list: str | None
    train_fraction: Fraction
    calibration_fraction: Fraction
    subject_max_samples: Count
    canaries: str | int | None
    remain: Literal["use", "none"]
    twins: Literal["keep", "forget_too"]
    sealed: bool
    source_delete: bool
    seed: Seed

    @field_validator("canaries", mode="before")
    @classmethod
    def check_canaries(cls, canaries: object) -> object:
        """Refuses what names nobody; one line says what may stand here."""
        is_count = type(canaries) is int and canaries >= 1
        if canaries is not None and not is_count and not (isinstance(canaries, str) and canaries):
            raise ValueError(
                "write null, a file that names people who are nobody's, or how many of invented people to set apart, "
                f"found {canaries!r}"
            )
        return canaries

    @model_validator(mode="after")
    def check_fractions(self) -> Self:
        """Refuses fractions that leave nothing for the test half."""
        if self.train_fraction + self.calibration_fraction >= 1:
            raise ValueError(
                "train_fraction and calibration_fraction must sum to less than 1: the rest is the test half"
            )
        return self


class OptimisationParams(Section):
    """What SGD needs besides a learning rate."""

    epochs: Count
    batch_size: Count
    schedule: Schedule
    momentum: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: NonNegative
    augmentation: Augmentation
    seed: Seed


class TrainingParams(OptimisationParams):
    """How the base, the references and exact retraining are trained."""

    learning_rate: Positive
    fallback_gradient_norm: Positive | None
    function: Annotated[str, Field(pattern=r"^[^:]+:[^:]+$")] | None
    options: dict[str, Any]

    @model_validator(mode="after")
    def check_options(self) -> Self:
        """Refuses options that nobody reads."""
        if self.options and self.function is None:
            raise ValueError("options are read by training.function alone, which is null; write {}")
        return self


class ReferencesParams(Section):
    """How many references of each set, both even, so that every subject is in exactly half; and retrained models."""

    num_audit: Annotated[int, Field(ge=0, multiple_of=2)]
    num_target: Annotated[int, Field(ge=0, multiple_of=2)]
    num_retrained: Annotated[int, Field(ge=0)]
    keep_weights: bool
    seed: Seed

    @field_validator("num_retrained")
    @classmethod
    def check_num_retrained(cls, num_retrained: int) -> int:
        """Refuses so few models that their spread would bound nothing."""
        if 0 < num_retrained < MIN_RETRAINED:
            few = f"fewer than {MIN_RETRAINED} models bound nothing"
            raise ValueError(f"{few}; 0 retrains none, found {num_retrained}")
        return num_retrained


class AdversarialParams(Section):
    """The search for the nearest adversarial example; each search reads its own block, which its file describes."""

    model_config = ConfigDict(extra="allow")

    search: str
    batch_size: Count
    num_secants: Annotated[int, Field(ge=0)]

    def get_block(self, search: str) -> Any:
        """Returns a search's own parameters: its model once they are checked, what stands in the file before."""
        return (self.model_extra or {})[search]


EXACT_METHOD = "retrain"


class AttemptParams(Section):
    """One method with its parameters: a learning rate unless it is exact, and what the method's file names.

    Attributes:
        method: its name, or `package.module:function`.
        learning_rate: of the first step of SGD.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, int | float]

    method: str
    learning_rate: Positive | None = None

    @property
    def is_exact(self) -> bool:
        """Whether it trains anew on the remain set, so that nothing of the forget set can be left."""
        return self.method == EXACT_METHOD

    @property
    def own(self) -> dict[str, int | float]:
        """The method's own parameters, by name."""
        return self.__pydantic_extra__

    @model_serializer(mode="wrap")
    def omit_absent(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Returns the attempt without the parameters that it does not have."""
        return {name: value for name, value in serialise(self).items() if value is not None}


class UnlearningParams(OptimisationParams):
    """Fine-tuning for unlearning, the attempts in their order, and what may change it."""

    policy: Policy
    attempts: Annotated[tuple[AttemptParams, ...], Field(strict=False, min_length=1)]


class AuditParams(Section):
    """The membership attack: RMIA online and its signal; canaries; how many people of earlier waves are looked at."""

    signal: Literal["taylor_soft_margin", "softmax"]
    soft_margin: NonNegative
    taylor_order: Count
    temperature: Positive
    gamma: Positive
    canaries: Annotated[int, Field(ge=0)]
    earlier_people: Annotated[int, Field(ge=0)]

    @field_validator("canaries")
    @classmethod
    def check_canaries(cls, canaries: int) -> int:
        """Refuses so few canaries that they show nothing of those who asked."""
        if 0 < canaries < MIN_CANARIES:
            raise ValueError(f"fewer than {MIN_CANARIES} canaries show nothing; 0 takes none, found {canaries}")
        return canaries

    @field_validator("earlier_people")
    @classmethod
    def check_earlier_people(cls, earlier_people: int) -> int:
        """Refuses so few people of earlier waves that nothing would ever be computed of them."""
        if 0 < earlier_people < MIN_EARLIER_PEOPLE:
            few = f"of fewer than {MIN_EARLIER_PEOPLE} people nothing is computed"
            raise ValueError(f"{few}; 0 looks at nobody, found {earlier_people}")
        return earlier_people


class GateParams(Section):
    """The bounds an attempt must keep."""

    max_accuracy_drop: Annotated[float, Field(ge=0, le=1)]
    max_memory_left: Annotated[float, Field(gt=0, lt=1)]
    auc_margin: Annotated[float, Field(gt=0, le=0.5)]
    max_trace: Annotated[float, Field(gt=0.5, lt=1)] | None
    insufficient: Literal["retrain", "wait", "pass_with_warning"]
    wait_days: Annotated[int, Field(ge=0)]


class IntakeParams(Section):
    """Where requests come from besides the command line, and which files of them are not taken."""

    source: Annotated[str, Field(min_length=1)] | None
    max_unmatched_share: Annotated[float, Field(ge=0, le=1)]
    approvals: Annotated[int, Field(ge=0, le=2)]


class WaveParams(Section):
    """How many of the requests that wait one night takes."""

    max_requests: Count | None
    max_forget_share: Share | None


class ErasureParams(Section):
    """When the keys of people are destroyed whom a wave has forgotten, and what is looked at before they are erased."""

    waiting_days: Annotated[int, Field(ge=0, le=MAX_WAITING_DAYS)]
    scan: bool


class ReceiptsParams(Section):
    """How long the bodies of receipts of erasure are kept, which are personal data themselves."""

    retention_days: Count


AlertKind = Literal[
    "request-near",
    "request-overdue",
    "request-unmatched",
    "wave-parked",
    "wave-refused",
    "wave-insufficient",
    "wave-late",
    "report-contradicts",
    "earlier-remembered",
    "file-rejected",
    "file-unmatched",
    "consumer-behind",
    "erasure-failed",
    "copy-damaged",
    "night-failed",
    "night-missing",
]
MailAddress = Annotated[str, Field(pattern=r"^[^\s@,;<>]+@[^\s@,;<>]+$")]


class AlertsParams(Section):
    """Who is told when something needs a person, and of what."""

    mail_to: Annotated[tuple[MailAddress, ...], Field(strict=False)]
    mail_from: MailAddress | None
    command: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(strict=False)]
    mute: Annotated[tuple[AlertKind, ...], Field(strict=False)]
    due_days: Annotated[int, Field(ge=0)]
    silent_hours: Count

    @model_validator(mode="after")
    def check_sender(self) -> Self:
        """Refuses e-mail from nobody, and a sender of none."""
        if bool(self.mail_to) != (self.mail_from is not None):
            raise ValueError("mail_to and mail_from go together: who gets the e-mail, and from which address it comes")
        return self


class RuntimeParams(Section):
    """Where and how exactly the arithmetic is done; neither the engine nor the memory changes a result."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]
    precision: Literal["float32", "bfloat16"]
    memory_format: Literal["contiguous", "channels_last"]
    num_threads: Count
    engine: Literal["local", "ray"]
    memory_gib: NonNegative | None


class ScheduleParams(Section):
    """When the nightly job runs; Prefect's own library checks both where they are used."""

    cron: str
    timezone: str

    @field_validator("cron")
    @classmethod
    def check_cron(cls, cron: str) -> str:
        """Refuses seconds and years: the scheduler would take a sixth field for seconds, sixty runs in a minute."""
        if len(cron.split()) != NUM_CRON_FIELDS:
            fields = tell_count(len(cron.split()), "field")
            raise ValueError(
                f"{fields}, where {NUM_CRON_FIELDS} are meant: minute, hour, day of the month, "
                f"month, day of the week; every night at three is 0 3 * * *, found {cron!r}"
            )
        return cron


class Params(Section):
    """All of `params.yaml`."""

    model: ModelParams
    data: DataParams
    training: TrainingParams
    references: ReferencesParams
    adversarial: AdversarialParams
    unlearning: UnlearningParams
    audit: AuditParams
    gate: GateParams
    intake: IntakeParams
    wave: WaveParams
    erasure: ErasureParams
    receipts: ReceiptsParams
    alerts: AlertsParams
    runtime: RuntimeParams
    schedule: ScheduleParams

    @model_validator(mode="after")
    def check_canaries(self) -> Self:
        """Refuses canaries whom nobody names."""
        if self.audit.canaries and self.data.canaries is None:
            raise ValueError(
                f"audit.canaries is {self.audit.canaries}, but data.canaries names nobody: write 0, or name people who "
                "are nobody's (docs/data.md)"
            )
        return self

    @model_validator(mode="after")
    def check_references(self) -> Self:
        """Refuses to wait for what more requests do not bring."""
        if self.references.num_audit == 0 and self.gate.insufficient == "wait":
            raise ValueError(
                "gate.insufficient: wait is for more requests, but without references (references.num_audit: 0) they "
                "show nothing; write retrain or pass_with_warning"
            )
        return self


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML's safe types, and no key twice: the last one would win without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep) for key, _ in node.value]
        if repeated := [key for key in keys if keys.count(key) > 1]:
            raise yaml.constructor.ConstructorError(None, None, f"key {repeated[0]} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """Returns the content of a YAML file.

    Raises:
        FileNotFoundError: there is none.
        UnicodeDecodeError: it is not UTF-8.
        yaml.YAMLError: it is no YAML, or a key stands twice.
    """
    return yaml.load(path.read_text(encoding="utf-8"), _UniqueKeyLoader)  # noqa: S506 - a safe loader


def read_params(path: Path) -> Params:
    """Returns the checked content of a `params.yaml`.

    Raises:
        InputError: the file is missing or no YAML, or a key is unknown, missing or mistyped; the line names it.
    """
    try:
        content = read_yaml(path)
    except FileNotFoundError:
        raise InputError(f"{path}: not found; run this from the root of a workspace") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {join_lines(error)}") from None
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path.name}: {join_lines(describe_findings(error))}") from None


def parse_part(model: type[SectionT], content: Any, *above: str | int) -> SectionT:
    """Returns a part of the parameters as its model.

    Args:
        model: of the part.
        content: as it stands in the file.
        above: the keys under which it stands there.

    Raises:
        ValueError: a key is unknown, missing or mistyped; the line names each.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ValueError(describe_findings(error, *above)) from None


def describe_findings(error: ValidationError, *above: str | int) -> str:
    """Returns every finding of a validation in one line: key, what is wrong, what to write.

    Args:
        error: of a model.
        above: the keys under which that model stands.
    """
    return "; ".join(_describe_finding(finding, *above) for finding in error.errors())


def _describe_finding(finding: Any, *above: str | int) -> str:
    parts = (*above, *finding["loc"])
    # a key may hold what nobody sees, or what ends a line
    key = ".".join(text if (text := str(part)).isprintable() else repr(text) for part in parts)
    prefix = f"{key}: " if key else ""
    value = finding["input"]
    match finding["type"]:
        case "extra_forbidden" if key in REMOVED_KEYS:
            return f"{prefix}is gone: {REMOVED_KEYS[key]}"
        case "extra_forbidden":
            return f"{prefix}unknown key; remove it or correct its spelling"
        case "missing" if key in ADDED_KEYS:
            return f"{prefix}missing; every key must be there, and {ADDED_KEYS[key]} is what to begin with"
        case "missing":
            return f"{prefix}missing; every key must be there"
        case "float_type" if isinstance(value, str) and _is_number(value):
            return f"{prefix}YAML reads {value} as text; write {Decimal(value):f}"
        case "value_error" if isinstance(inner := finding["ctx"]["error"], ValidationError):
            return "; ".join(_describe_finding(found, *parts) for found in inner.errors())
        case "value_error":
            return prefix + str(finding["ctx"]["error"])
        case _:
            return f"{prefix}{finding['msg'][0].lower()}{finding['msg'][1:]}, found {value!r}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
