"""What became of a wave: the gate's decision on each attempt, the summary of all, and what a request's receipt says."""

import csv
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter

from amun.core.paths import DECISIONS
from amun.evidence.costs import PlannedNight, StageCost
from amun.evidence.earlier import EarlierFigures
from amun.evidence.figures import AuditFigures, Figures, RareCount, ReportFigures
from amun.evidence.wave import parse_record, write_json


class Epoch(Figures):
    """One epoch of training: its mean loss, and the share of the samples that were labelled right."""

    epoch: int
    loss: float
    accuracy: float


class Judged(Figures):
    """An attempt, and what the gate made of it.

    Attributes:
        attempt: its number, from 1.
        method: its name.
        parameters: its learning rate and the method's own.
        passed: it did.
        reason: why, in one line.
        warning: what a person should look at all the same; empty if nothing.
        overruled: it had passed, and the test half has refuted it, or it brings people of earlier waves back.
        calibration: what the gate judged it by; None where the attempt came to nothing.
        earlier: what it shows of people of earlier waves; None, and not in the file, where nobody was looked at.
        epochs: how its training went; left out of the summary.
    """

    attempt: int
    method: str
    parameters: dict[str, int | float] = Field(default_factory=dict)
    passed: bool
    reason: str
    warning: str = ""
    overruled: bool = False
    calibration: AuditFigures | None = None
    earlier: Annotated[EarlierFigures | None, Field(exclude_if=lambda value: value is None)] = None
    epochs: Annotated[tuple[Epoch, ...], Field(strict=False)] = ()

    @property
    def brings_back(self) -> bool:
        """Whether it was shown to remember people of earlier waves."""
        return self.earlier is not None and self.earlier.brings_back

    @property
    def has_looked(self) -> bool:
        """Whether anything was measured of people of earlier waves."""
        return self.earlier is not None and self.earlier.memory_left is not None


class Summary(Figures):
    """A wave in figures, as the ledger keeps it.

    Attributes:
        num_subjects: people who asked.
        num_canaries: people who did not, and were forgotten along.
        num_forget: training samples of all of them.
        num_held_out: their other samples.
        attempt: the one that passed.
        method: of it.
        insufficient: why its people could not show that they are forgotten; empty if they could.
        decisions: on every attempt.
        warning: where an alarm sounds on the test half; empty if none does.
        calibration: what the gate judged by.
        test: what the report measured.
        stage_seconds: that the stages computed.
        was_resumed: another run had opened the wave than the one that completed it.
        costs: what each run of a stage took; empty in a wave of an earlier version, and what a run that was killed had
            done before is not in it.
        plan: which attempts were to be made, and why; None in a wave of an earlier version.
    """

    num_subjects: int | None = None
    num_canaries: RareCount = 0
    num_forget: int | None = None
    num_held_out: int | None = None
    attempt: int | None = None
    method: str | None = None
    insufficient: str = ""
    decisions: Annotated[tuple[Judged, ...], Field(strict=False)] = ()
    warning: str = ""
    calibration: AuditFigures = AuditFigures()
    test: ReportFigures = ReportFigures()
    stage_seconds: float = 0.0
    was_resumed: bool = False
    costs: Annotated[tuple[StageCost, ...], Field(strict=False)] = ()
    plan: PlannedNight | None = None

    @property
    def earlier(self) -> EarlierFigures | None:
        """What the model that serves shows of people of earlier waves; None where nobody was looked at."""
        return find_earlier(self.decisions)

    @property
    def warned(self) -> str:
        """The warning of the attempt that passed; empty if there was none."""
        return find_warning(self.decisions)


class Receipt(Figures):
    """What is left with a request on record of how it was honoured.

    Attributes:
        tag: of the wave in git; likewise its commit.
        version: of the model that has forgotten the person.
        memory_left: on the test half; likewise the other figures.
        num_canaries: people who had not asked, of whom alone the figures are: they show the run, not the person.
    """

    model: str | None = None
    wave: int | None = None
    tag: str | None = None
    commit: str | None = None
    version: int | None = None
    method: str | None = None
    memory_left: float | None = None
    memory_left_lower: float | None = None
    memory_left_upper: float | None = None
    ft_auc: float | None = None
    standard_error: float | None = None
    trace: float | None = None
    num_canaries: RareCount = 0


def find_warning(decisions: tuple[Judged, ...]) -> str:
    """Returns the warning of the attempt that passed; empty if there was none."""
    return next((made.warning for made in decisions if made.passed), "")


def find_earlier(decisions: tuple[Judged, ...]) -> EarlierFigures | None:
    """Returns what the attempt that passed shows of people of earlier waves; None where nobody was looked at."""
    return next((made.earlier for made in decisions if made.passed), None)


def read_decisions(workspace: Path) -> tuple[Judged, ...]:
    """Returns the gate's decisions on the wave's attempts, in their order."""
    return parse_decisions((workspace / DECISIONS).read_text(encoding="utf-8"), str(workspace / DECISIONS))


def parse_decisions(text: str, where: str) -> tuple[Judged, ...]:
    """Returns the content of a `decisions.json`.

    Raises:
        AmunError: it is damaged; the line says `where` it stands.
    """
    return parse_record(tuple[Judged, ...], text, where)


def write_decisions(workspace: Path, decisions: tuple[Judged, ...]) -> None:
    """Writes `wave/decisions.json`."""
    write_json(workspace / DECISIONS, TypeAdapter(tuple[Judged, ...]).dump_python(decisions, mode="json"))


def read_epochs(path: Path) -> tuple[Epoch, ...]:
    """Returns loss and accuracy by epoch, from the CSV file of a stage that trains."""
    with path.open(encoding="ascii", newline="") as file:
        return tuple(
            Epoch(epoch=int(row["epoch"]), loss=float(row["loss"]), accuracy=float(row["accuracy"]))
            for row in csv.DictReader(file)
        )
