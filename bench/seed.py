"""One seed of the bench: a wave in a temporary workspace, by the functions of the stages themselves."""

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import torch

from amun.audit.decision import decide
from amun.audit.night import read_night
from amun.core.errors import DivergedError
from amun.core.keys import file_digest, fingerprint, load_secret
from amun.core.params import AttemptParams, Params
from amun.core.paths import (
    ATTEMPT,
    BASE_MODEL,
    CALIBRATION,
    EXCLUSIONS,
    FORGOTTEN,
    TEST,
    TRAIN,
    UNLEARNED,
    WAVE,
    WAVE_BASE,
)
from amun.evidence.figures import AuditFigures, ReportFigures, TrainFigures, read_figures
from amun.evidence.wave import Attempt, ForgottenWave, Wave, read_wave, write_json
from amun.methods.catalogue import METHODS
from amun.model.building import load_for
from amun.model.training import fit
from amun.model.weights import save_weights
from amun.selftest.verdicts import APPROXIMATE
from amun.stages.adversarial import build_adversarial_set
from amun.stages.audit import audit
from amun.stages.power import measure_power
from amun.stages.prepare import prepare
from amun.stages.references import train_references
from amun.stages.report import report
from amun.stages.train import train
from amun.stages.unlearn import unlearn
from amun.store.forgetting import name_forgotten
from amun.store.samples import read_samples
from amun.store.store import read_owners, read_shape
from bench.secrets import make_secrets
from flows.demo import choose_subjects

BASE, FINE_TUNED, RETRAINED = "base, untouched", "fine-tuned on what remains", "retrained exactly"
SECRET = "0" * 64  # nothing made here leaves its temporary folder


@dataclass(frozen=True)
class Yardstick:
    """The last exactly trained version of a line.

    Attributes:
        accuracy: 0 to 1, on the calibration samples that were still held.
        wave: that made it; 0 is the base.
    """

    accuracy: float
    wave: int


@dataclass(frozen=True)
class Row:
    """What one model of a wave shows.

    Attributes:
        name: the model.
        ft_auc: on the test half.
        accuracy: on the test half, 0 to 1.
        trace: on the test half.
        passed: both bounds of the gate, on the calibration half; exact retraining is held to them here too.
        calibration_ft_auc: what the gate judged.
        calibration_accuracy: what the gate judged, 0 to 1.
        seconds: to make it, the stage *adversarial* included where its examples are used.
        memory_left: what the gate judged; None where it could not be measured, or was not yet.
        trace_by_person: on the test half; None likewise.
        num_standing_out: people, on the test half; None likewise.
    """

    name: str
    ft_auc: float
    accuracy: float
    trace: float
    passed: bool
    calibration_ft_auc: float
    calibration_accuracy: float
    seconds: float
    memory_left: float | None = None
    trace_by_person: float | None = None
    num_standing_out: int | None = None


def run_seed(params: Params, device: torch.device, num_forget: int) -> list[Row]:
    """Runs a wave in the current, empty folder; returns a row for the base, plain fine-tuning and every attempt.

    An attempt whose loss diverges has no row. The stages' own lines go to stderr.

    Args:
        params: with this run's seed.
        device: to compute on.
        num_forget: about how many training samples to forget.
    """
    with redirect_stdout(sys.stderr):
        base_seconds = begin_wave(params, device, num_forget)
        search_seconds = _time(lambda: build_adversarial_set(params, device))
        rows = [
            measure(BASE, params, device, lambda: shutil.copyfile(WAVE_BASE, UNLEARNED), base_seconds),
            measure(FINE_TUNED, params, device, lambda: _fine_tune(params, device)),
        ]
        for number, attempt in enumerate(params.unlearning.attempts, start=1):
            write_json(ATTEMPT, Attempt(attempt=number))
            extra_seconds = search_seconds if METHODS[attempt.method].needs_adversarial else 0.0
            try:
                rows.append(
                    measure(name_attempt(attempt), params, device, lambda: unlearn(params, device), extra_seconds)
                )
            except DivergedError as error:
                print(f"  {name_attempt(attempt)}: {error}")
    return rows


def begin_wave(params: Params, device: torch.device, num_forget: int) -> float:
    """Brings the current, empty folder to a frozen wave with base and references; returns the base's seconds."""
    prepare_store(params, device)
    base_seconds = _time(lambda: train(params, device))
    train_references(params, device)
    freeze_wave(params, num_forget)
    measure_power(params, device)
    return base_seconds


def choose_search(params: Params, search: str) -> Params:
    """Returns the parameters with this search in place of theirs."""
    return params.model_copy(update={"adversarial": params.adversarial.model_copy(update={"search": search})})


def name_attempt(attempt: AttemptParams) -> str:
    """Returns what the tables call an attempt."""
    return RETRAINED if attempt.is_exact else f"{attempt.method}, rate {attempt.learning_rate:g}"


def prepare_store(params: Params, device: torch.device) -> None:
    """Gives the current folder a secret and runs the stage *prepare*."""
    make_secrets(Path())
    write_json(EXCLUSIONS, [])
    write_json(FORGOTTEN, [])
    prepare(params, device)


def freeze_wave(params: Params, num_forget: int) -> None:
    """Writes the files of a first wave that forgets about so many training samples."""
    yardstick = Yardstick(read_figures(TrainFigures).calibration_accuracy, 0)
    freeze_next(params, BASE_MODEL, choose_subjects(Path(), 1, [num_forget]), [], yardstick)


def freeze_next(
    params: Params, base: Path, subjects: Sequence[str], forgotten: Sequence[ForgottenWave], yardstick: Yardstick
) -> Wave:
    """Writes the files of the next wave, as the step *freeze* does from the ledger and the registry; returns it.

    Args:
        params: of the line.
        base: the model that the wave starts from.
        subjects: who ask.
        forgotten: the earlier waves.
        yardstick: of the line so far.
    """
    WAVE_BASE.parent.mkdir(exist_ok=True)
    shutil.copyfile(base, WAVE_BASE)
    secret, number, earlier = load_secret(Path()), len(forgotten) + 1, list(forgotten)
    stores = [read_owners(path) for path in (TRAIN, CALIBRATION, TEST)]
    wave = Wave(
        secret_fingerprint=fingerprint(secret),
        number=number,
        model=params.model.name,
        kind="deletion",
        base_version=number,
        base_digest=file_digest(secret, WAVE_BASE),
        yardstick=yardstick.accuracy,
        yardstick_wave=yardstick.wave,
        forgetting=name_forgotten(secret, number, list(subjects), stores, earlier),
        forgotten=earlier,
    )
    write_json(WAVE, wave)
    return wave


def _fine_tune(params: Params, device: torch.device) -> None:
    """Fine-tunes on D_R alone, at the first attempt's rate: what AMUN would be without its adversarial examples."""
    learning_rate = next(rate for attempt in params.unlearning.attempts if (rate := attempt.learning_rate) is not None)
    train_samples = read_samples(TRAIN)
    remain = train_samples.select(~train_samples.is_among(read_wave().gone_ids))
    model = load_for(params, read_shape(TRAIN), device, WAVE_BASE)
    fit(
        model,
        remain.images.to(device),
        remain.labels.to(device),
        optimisation=params.unlearning,
        learning_rate=learning_rate,
        precision=params.runtime.precision,
        on_epoch=lambda _: None,
    )
    save_weights(UNLEARNED, model)


def measure(
    name: str, params: Params, device: torch.device, make: Callable[[], object], extra_seconds: float = 0.0
) -> Row:
    """Makes the unlearned model and puts it through the stages audit and report, and through the gate's bounds."""
    seconds = _time(make)
    audit(params, device)
    report(params, device)
    audited, reported = read_figures(AuditFigures), read_figures(ReportFigures)
    return Row(
        name=name,
        ft_auc=round_figure(reported.ft_auc),
        accuracy=round_figure(reported.accuracy),
        trace=round_figure(reported.trace),
        passed=decide(APPROXIMATE, read_night(), audited, read_wave().yardstick, params.gate).passed,
        calibration_ft_auc=round_figure(audited.ft_auc),
        calibration_accuracy=round_figure(audited.accuracy),
        seconds=round(seconds + extra_seconds, 2),
        memory_left=audited.memory_left,
        trace_by_person=reported.trace_by_person,
        num_standing_out=reported.num_standing_out,
    )


def round_figure(figure: float | None) -> float:
    """Returns a figure to four places; one that was not measured is a mistake in the bench's sizes."""
    if figure is None:
        raise ValueError("a bench whose wave is too small for figures")
    return round(figure, 4)


def _time(function: Callable[[], object]) -> float:
    """Returns the seconds of wall clock that the function took."""
    started_at = time.monotonic()
    function()
    return time.monotonic() - started_at
