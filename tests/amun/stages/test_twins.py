"""Pictures of several people in the stages: no reference half-knows one, and what stays trained on is no evidence."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from amun.audit.evaluation import AuditSets
from amun.audit.measuring import measure_wave_memory
from amun.audit.night import read_night
from amun.core.paths import (
    AUDIT_INCLUSION,
    AUDIT_LOGITS,
    CALIBRATION,
    FORGOTTEN,
    TARGET_INCLUSION,
    TEST,
    TRAIN,
    WAVE,
    WAVE_BASE,
)
from amun.evidence.wave import ForgottenWave, Wave, write_json
from amun.model.architectures import build_model
from amun.model.weights import save_weights
from amun.stages.power import measure_power
from amun.stages.references import train_references
from amun.store.samples import Samples, concatenate, read_samples, write_samples
from tests.amun.sealing import make_vault
from tests.amun.shipped import PARAMS
from tests.amun.witness import NUM_CLASSES, paint

CPU = torch.device("cpu")
FORGET_IDS = [f"a{number}" for number in range(1, 31)]
CHANGES = {
    "model": {"architecture": "tests.amun.witness:build_witness", "options": {}},
    "training": {"epochs": 1},
    "references": {"num_audit": 4, "num_target": 4},
}
SMALL = PARAMS.model_copy(
    update={name: getattr(PARAMS, name).model_copy(update=changed) for name, changed in CHANGES.items()}
)


def make_samples(kind: str, numbers: range) -> Samples:
    """Returns the pictures of these numbers, each of a person of its own, whose names begin with this letter."""
    ids, owners = (np.array([f"{what}{kind}{number}" for number in numbers]) for what in ("", "person-"))
    labels = torch.tensor([number % NUM_CLASSES for number in numbers])
    return Samples(ids, owners, labels, torch.stack([paint(number) for number in numbers]))


def pose_wave(shared_ids: list[str]) -> Wave:
    """Returns a wave that forgets the first thirty, of whom the pictures of some stay trained on."""
    return Wave(
        number=1,
        model="witness",
        kind="deletion",
        secret_fingerprint="",
        base_version=1,
        base_digest="",
        yardstick=None,
        forgetting=ForgottenWave(
            number=1, subject_keys=[], forget_ids=FORGET_IDS, held_out_ids=[], shared_ids=shared_ids
        ),
        forgotten=[],
    )


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A workspace, the current folder: of 60 training samples 30 are twins of the other 30; 30 are held out."""
    monkeypatch.chdir(tmp_path)
    make_vault(Path())
    write_samples(TRAIN, concatenate([make_samples("a", range(1, 31)), make_samples("b", range(1, 31))]), seal=None)
    write_samples(CALIBRATION, make_samples("c", range(31, 61)), seal=None)
    write_samples(TEST, make_samples("d", range(61, 91)), seal=None)
    write_json(FORGOTTEN, [])


@pytest.mark.usefixtures("store")
def test_every_reference_has_all_of_a_picture_or_nothing() -> None:
    train_references(SMALL, CPU)
    for path in (AUDIT_INCLUSION, TARGET_INCLUSION):
        inclusion = read_samples(path)
        halves = dict(zip(inclusion.sample_ids.tolist(), inclusion.payloads.tolist(), strict=True))
        assert all(halves[f"a{number}"] == halves[f"b{number}"] for number in range(1, 31))
        assert {sum(half) for half in halves.values()} == {2}
        assert len({tuple(half) for half in halves.values()}) > 1


@pytest.mark.usefixtures("store")
def test_night_counts_on_what_does_not_stay_trained_on() -> None:
    train_references(SMALL, CPU)
    save_weights(WAVE_BASE, build_model(SMALL.model, NUM_CLASSES, (1, 8, 8), seed=0))
    for shared, num_left in ((12, 18), (30, 0), (0, 30)):
        write_json(WAVE, pose_wave(FORGET_IDS[:shared]))
        measure_power(SMALL, CPU)
        night = read_night()
        assert (night.num_people, night.num_samples) == (num_left, num_left)
    write_json(WAVE, pose_wave(FORGET_IDS))
    measure_power(SMALL, CPU)
    assert read_night().insufficient, "a night of nothing but such pictures shows nothing"


@pytest.mark.usefixtures("store")
def test_memory_is_measured_on_what_can_tell_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    forget, held_out = make_samples("a", range(1, 31)), make_samples("c", range(31, 61))
    both = [*forget.sample_ids.tolist(), *held_out.sample_ids.tolist()]
    people = concatenate([forget, held_out])
    owners, labels = people.subject_ids, people.labels
    included = torch.rand(len(both), 4, generator=generator) < 0.5
    inclusion = torch.stack([included, ~included], dim=2).reshape(len(both), 8)
    logits = torch.randn(len(both), 8, NUM_CLASSES, generator=generator)
    logits += 3 * inclusion[:, :, None] * torch.nn.functional.one_hot(labels, NUM_CLASSES)[:, None]
    write_samples(AUDIT_INCLUSION, Samples(np.array(both), owners, labels, inclusion.to(torch.uint8)), seal=None)
    write_samples(AUDIT_LOGITS, Samples(np.array(both), owners, labels, logits), seal=None)
    references = read_samples(AUDIT_LOGITS)
    sets = AuditSets(forget, forget.slice(0, 0), held_out, None, None)
    of_forget, of_held_out = logits[:30, 0], logits[30:, 0]

    def measure(part: AuditSets, shared_ids: list[str]) -> object:
        rows = slice(0, part.num_forget)
        base, unlearned = (of_forget[rows], of_held_out), (of_forget[rows] / 2, of_held_out / 2)
        memory = measure_wave_memory(part, references, base, unlearned, PARAMS, pose_wave(shared_ids))
        return None if memory is None else (memory.base_total, memory.left, memory.bound(0.05))

    without = replace(sets, forget=forget.slice(0, 24))
    shared = forget.sample_ids[24:].tolist()
    assert measure(sets, shared) == measure(without, shared) is not None
    assert measure(sets, []) != measure(without, shared)
