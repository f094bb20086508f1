"""Where waves are tried out: a folder of its own beside a workspace's base, its data and its references."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path

import numpy as np

from amun.core.errors import InputError
from amun.core.locks import hold_lock
from amun.core.paths import (
    ADOPTED,
    AUDIT_INCLUSION,
    AUDIT_LOGITS,
    BASE_MODEL,
    CALIBRATION,
    FORGOTTEN,
    SELFTEST,
    STATE,
    TARGET_INCLUSION,
    TARGET_LOGITS,
    TEST,
    TRAIN,
    TRAIN_METRICS,
    WAVE,
    WAVE_BASE,
)
from amun.evidence.wave import RetrainedFigures, Wave, parse_record, read_forgotten, read_wave, write_json
from amun.store.forgetting import name_forgotten
from amun.store.samples import Owners
from amun.store.store import read_owners
from amun.vault.vault import lend_vault

_BORROWED = (
    TRAIN,
    CALIBRATION,
    TEST,
    BASE_MODEL,
    TRAIN_METRICS,
    AUDIT_LOGITS,
    AUDIT_INCLUSION,
    TARGET_LOGITS,
    TARGET_INCLUSION,
    FORGOTTEN,
)
_RETRAINED = Path("retrained.json")  # what exact retraining left beside the workspace's base, where that was seen
_NUMBER = 999_999  # of a wave that nobody records
_NO_SECRET = b"selftest"  # keys of people stand in the folder's wave alone, beside their images


@contextmanager
def open_ground(workspace: Path) -> Iterator[None]:
    """Works in a folder that has the workspace's base, data and references, and ends with it.

    The workspace itself is not written to but there; a second caller waits for the first.

    Raises:
        InputError: the workspace has no base yet.
    """
    workspace = workspace.resolve()
    for path in _BORROWED:
        if not (workspace / path).is_file():
            raise InputError(f"{path} is missing: run `amun init`, or `dvc checkout` in a workspace that has its base")
    ground = workspace / SELFTEST
    with hold_lock(workspace / STATE / "selftest.lock"):
        shutil.rmtree(ground, ignore_errors=True)  # what a killed one has left
        try:
            for path in _BORROWED:
                (ground / path).parent.mkdir(parents=True, exist_ok=True)
                (ground / path).symlink_to(workspace / path)
            if (workspace / ADOPTED).exists():
                (ground / ADOPTED).symlink_to(workspace / ADOPTED)
            lend_vault(workspace, ground)
            (ground / WAVE_BASE).symlink_to(ground / BASE_MODEL)
            with chdir(ground):
                keep_retrained(read_wave(workspace).retrained if (workspace / WAVE).exists() else None)
                yield
        finally:
            shutil.rmtree(ground)


def keep_retrained(figures: RetrainedFigures | None) -> None:
    """Keeps what exact retraining leaves beside the current ground's base; nothing where nobody knows it."""
    _RETRAINED.unlink(missing_ok=True)
    if figures is not None:
        write_json(_RETRAINED, figures)


def read_retrained() -> RetrainedFigures | None:
    """Returns what is kept of it; None where nothing is."""
    if not _RETRAINED.exists():
        return None
    return parse_record(RetrainedFigures, _RETRAINED.read_text(encoding="utf-8"), str(_RETRAINED))


def draw_people(seed: int) -> list[str]:
    """Returns all people of the current ground who are still in training, in an order drawn by seed."""
    train = read_owners(TRAIN)
    gone = [sample_id for wave in read_forgotten() for sample_id in wave.forget_ids]
    people = np.unique(train.subject_ids[~train.is_among(gone)])
    drawn: list[str] = np.random.default_rng(seed).permutation(people).tolist()
    return drawn


def freeze_night(model: str, people: Sequence[str]) -> Wave:
    """Writes the current ground's wave, which forgets these people; returns it."""
    wave = plan_night(model, people, [read_owners(path) for path in (TRAIN, CALIBRATION, TEST)])
    write_json(WAVE, wave)
    return wave


def plan_night(model: str, people: Sequence[str], stores: list[Owners]) -> Wave:
    """Returns a wave on the current ground in which these people ask.

    Args:
        model: its name.
        people: who ask.
        stores: the train, calibration and test samples.
    """
    forgotten = read_forgotten()
    return Wave(
        number=_NUMBER,
        model=model,
        kind="deletion",
        secret_fingerprint="",
        base_version=None,
        base_digest="",
        yardstick=json.loads(TRAIN_METRICS.read_text(encoding="utf-8"))["calibration_accuracy"],
        yardstick_wave=0,  # the base, which has learned all of the training samples
        retrained=read_retrained(),
        forgetting=name_forgotten(_NO_SECRET, _NUMBER, list(people), stores, forgotten),
        forgotten=forgotten,
    )
