"""The files that say what a wave is about: `wave/wave.json`, `wave/attempt.json`, `wave/forgotten.json`."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    model_serializer,
)

from amun.core.counts import tell_count
from amun.core.errors import AmunError, InputError
from amun.core.files import replace_file
from amun.core.paths import ATTEMPT, FORGOTTEN, WAVE

# Below this many samples a histogram, a curve or a mean tells of single persons: no file that git or MLflow
# keeps may hold it.
MIN_REPORTED = 20
MIN_PEOPLE = 12  # fewer, and an interval would rest on a handful of persons
# at which a ROC curve is told beside every 5 %: a careful attacker errs seldom
LOW_RATES = (0.001, 0.002, 0.005, 0.01, 0.02)

# stages and tools run in the root of a workspace
CURRENT = Path()


class Record(BaseModel):
    """What one of the workspace's JSON files holds."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


AnyRecord = TypeVar("AnyRecord", bound=Record)
Parsed = TypeVar("Parsed")


class ForgottenWave(Record):
    """What one wave forgot: keyed ids, which mean nothing without the workspace secret.

    Samples' ids need their person's key besides, in a base that has named them so (`PrepareFigures.samples_named_by`).

    Attributes:
        number: of the wave.
        subject_keys: the people.
        forget_ids: training samples.
        held_out_ids: held-out samples.
        shared_ids: of `forget_ids`, those whose picture stays trained on under other names: they show nothing.
        twin_ids: of `forget_ids` and `held_out_ids`, those of other people, forgotten because they show a picture of
            one who is.
        canary_keys: people who have not asked and are nobody's, forgotten along so that the run can be judged.
        canary_ids: of `forget_ids`, theirs. This list and those from `shared_ids` on stand in a file only where there
            are any.
    """

    number: int
    subject_keys: list[str]
    forget_ids: list[str]
    held_out_ids: list[str]
    shared_ids: list[str] = []
    twin_ids: list[str] = []
    canary_keys: list[str] = []
    canary_ids: list[str] = []

    @property
    def people_keys(self) -> list[str]:
        """Everybody whom the wave has forgotten: those who asked, and canaries."""
        return [*self.subject_keys, *self.canary_keys]

    @property
    def asked_ids(self) -> list[str]:
        """Of the training samples, those that are not canaries'."""
        of_canaries = set(self.canary_ids)
        return [sample_id for sample_id in self.forget_ids if sample_id not in of_canaries]

    @model_serializer(mode="wrap")
    def omit_empty(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Returns the fields, as earlier versions wrote them where nobody has a twin and there are no canaries."""
        optional = ("shared_ids", "twin_ids", "canary_keys", "canary_ids")
        return {name: value for name, value in serialise(self).items() if value or name not in optional}


class Shown(Record):
    """What one model retrained beside a base shows: figures of all of its people, None where too few have them.

    Attributes:
        trace: by image, 0 to 1.
        trace_standard_error: of it, by person.
        trace_by_person: 0 to 1.
        weights_by_person: likewise, what its weights tell.
    """

    trace: float | None
    trace_standard_error: float | None
    trace_by_person: float | None
    weights_by_person: float | None


class RetrainedFigures(Record):
    """What models show that were retrained exactly beside the base, each without people drawn anew.

    No model is kept, and nothing of single people.

    Attributes:
        num_asked: how many models were asked for (`references.num_retrained`).
        num_people: without whom each was retrained; nobody where there are too few people, and none was retrained.
        num_strangers: how many held-out people they were compared with, on average.
        trace_by_person: of each model, 0 to 1; none where there were too few people for the figure.
        weights_by_person: likewise, what the weights of each tell; none, and not in the file, where an earlier version
            did not look.
        trace: likewise, the trace by image of each.
        trace_standard_error: of one such trace, by person.
    """

    num_asked: int
    num_people: int
    num_strangers: int
    trace_by_person: list[float]
    weights_by_person: Annotated[list[float], Field(exclude_if=lambda value: not value)] = []
    trace: Annotated[list[float], Field(exclude_if=lambda value: not value)] = []
    trace_standard_error: Annotated[float | None, Field(exclude_if=lambda value: value is None)] = None


class Wave(Record):
    """What the wave stages need to know of the wave.

    Attributes:
        secret_fingerprint: of the workspace secret that keys its ids.
        base_version: the registered version it starts from; None where a new base is built, unless one of this model's
            own versions was adopted for it.
        base_digest: the keyed digest of that version's weights.
        yardstick: accuracy on the calibration half of the last exactly trained version; None where that is this one.
        yardstick_wave: the wave that made that version, which learned from nobody whom it, or one before, forgot. None
            where there is no yardstick, or an earlier version did not say.
        retrained: what exact retraining was found to leave when the base was built; None, and not in the file, where
            nothing was retrained for that.
        forgetting: the wave's own subjects and samples.
        forgotten: those of the earlier waves, oldest first.
    """

    number: int
    model: str
    kind: Literal["base", "deletion"]
    secret_fingerprint: str
    base_version: int | None
    base_digest: str
    yardstick: float | None
    yardstick_wave: int | None = None
    retrained: Annotated[RetrainedFigures | None, Field(exclude_if=lambda value: value is None)] = None
    forgetting: ForgottenWave
    forgotten: list[ForgottenWave]

    @property
    def forget_ids(self) -> list[str]:
        """Training samples to forget in this wave."""
        return self.forgetting.forget_ids

    @property
    def telling_ids(self) -> list[str]:
        """Of the training samples to forget, those that can tell: what stays trained on under other names cannot."""
        shared = set(self.forgetting.shared_ids)
        return [sample_id for sample_id in self.forget_ids if sample_id not in shared]

    @property
    def figure_ids(self) -> list[str]:
        """Of the training samples to forget, those that figures are of: canaries' alone where there are any.

        Whoever knows the canaries could subtract them from a figure of all, and those who asked may be one person.
        """
        return self.forgetting.canary_ids or self.forget_ids

    @property
    def earlier_gone_ids(self) -> list[str]:
        """Every sample, trained on or held out, that was gone before this wave."""
        return list_gone(self.forgotten)

    @property
    def gone_ids(self) -> list[str]:
        """Every sample, trained on or held out, that no later step may use as remaining, calibration or test data."""
        return [*self.earlier_gone_ids, *self.forget_ids, *self.forgetting.held_out_ids]


class Attempt(Record):
    """Which of `unlearning.attempts` the `unlearn` stage makes, counted from 1."""

    attempt: int


def read_wave(workspace: Path = CURRENT) -> Wave:
    """Returns the wave that the workspace's files are about."""
    return _read(Wave, workspace / WAVE)


def read_attempt(workspace: Path = CURRENT) -> Attempt:
    """Returns the attempt that the workspace's files are about."""
    return _read(Attempt, workspace / ATTEMPT)


def write_attempt(workspace: Path, number: int) -> None:
    """Writes which attempt is to be made."""
    write_json(workspace / ATTEMPT, Attempt(attempt=number))


def read_forgotten(workspace: Path = CURRENT) -> list[ForgottenWave]:
    """Returns all waves that the champion's line has forgotten, oldest first.

    Raises:
        InputError: the file is missing: that nobody was forgotten stands in it too.
        AmunError: it is damaged.
    """
    path = workspace / FORGOTTEN
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(
            f"{path} is missing, which says who is forgotten: bring it back (`git checkout HEAD -- {FORGOTTEN}`), "
            "or run `amun init` where no wave has run yet"
        ) from None
    return parse_forgotten(text, str(path))


def parse_forgotten(text: str, where: str) -> list[ForgottenWave]:
    """Returns the content of a `forgotten.json`.

    Raises:
        AmunError: it is damaged; the line says `where` it stands.
    """
    return parse_record(list[ForgottenWave], text, where)


def list_gone(forgotten: list[ForgottenWave]) -> list[str]:
    """Returns the ids of all samples, trained on or held out, that these waves have forgotten."""
    return [sample_id for wave in forgotten for sample_id in [*wave.forget_ids, *wave.held_out_ids]]


def list_excluded(forgotten: list[ForgottenWave]) -> list[str]:
    """Returns the keyed ids of all that no new base may be trained on: people, canaries, and twins that went along."""
    return sorted({key for wave in forgotten for key in [*wave.people_keys, *wave.twin_ids]})


def write_json(path: Path, content: Any) -> None:
    """Writes a JSON file in one piece; models as their fields, keys in order, so that equal content is equal bytes."""
    plain = TypeAdapter(Any).dump_python(content, mode="json")
    with replace_file(path) as unfinished:
        unfinished.write_text(json.dumps(plain, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _read(record: type[AnyRecord], path: Path) -> AnyRecord:
    try:
        return parse_record(record, path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run `amun init`, or `amun wave run` in a workspace") from None


def parse_record(kind: type[Parsed], text: str, where: str) -> Parsed:
    """Returns a record, or a collection of records, from the text of its file.

    Raises:
        AmunError: it is damaged; the line says `where` it stands.
    """
    try:
        return TypeAdapter(kind).validate_json(text)
    except ValidationError as error:
        raise AmunError(
            f"{where} is damaged ({tell_count(error.error_count(), 'finding')}); restore it from git"
        ) from None
