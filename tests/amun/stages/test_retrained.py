"""Models retrained beside a base: they show what a wave would show of them, and lack whom they are to lack."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, chdir
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from amun.audit.trace import Rises, compare_rises, find_candidates, measure_rise
from amun.audit.weights import measure_weights
from amun.core.params import Params
from amun.core.paths import BASE_MODEL, CALIBRATION, FORGOTTEN, KEPT_RETRAINED, PARTIAL_ADVERSARIAL, TRAIN
from amun.core.progress import Advance, show_progress
from amun.evidence.wave import MIN_PEOPLE, RetrainedFigures, write_json
from amun.model.building import build_for, load_for
from amun.model.trainer import train_model
from amun.stages import retrained
from amun.stages.retrained import RETRAINED_SEED, retrain_beside_base
from amun.stages.train import train
from amun.store.drawing import draw_people
from amun.store.image_sets import ImageSet
from amun.store.opening import SampleOpener
from amun.store.samples import Samples, read_samples
from amun.store.store import read_shape
from tests.amun.sealing import make_vault
from tests.amun.selftest.conftest import write_store
from tests.amun.shipped import PARAMS

CPU = torch.device("cpu")
NUM_MODELS, NUM_PEOPLE = 4, 20  # of 80 people in training


class KilledError(Exception):
    """In place of a signal."""


@pytest.fixture(scope="module")
def params(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Params]:
    """In a folder with a base of 80 people with two images each."""
    changes: dict[str, dict[str, Any]] = {
        "model": {"options": {"channels": [8, 8]}},
        "training": {"epochs": 10, "batch_size": 32},
        "references": {"num_retrained": NUM_MODELS},
    }
    changed = PARAMS.model_copy(
        update={section: getattr(PARAMS, section).model_copy(update=change) for section, change in changes.items()}
    )
    root = tmp_path_factory.mktemp("workspace")
    with chdir(root):
        make_vault(root)
        write_store()
        write_json(FORGOTTEN, [])
        train(changed, CPU)
        yield changed


def list_kept() -> list[Path]:
    """Returns what killed runs, or finished ones, have left."""
    return sorted(KEPT_RETRAINED.rglob("*.json"))


def measure_first(params: Params) -> tuple[float | None, ...]:
    """Returns the traces, and weights by person, of the first model, made by hand as a wave would make it."""
    everybody, calibration = read_samples(TRAIN), read_samples(CALIBRATION)
    people = np.random.default_rng(RETRAINED_SEED).permutation(np.unique(everybody.subject_ids))[:NUM_PEOPLE]
    is_gone = np.isin(everybody.subject_ids, people)
    remain = everybody.select(~is_gone)
    model = build_for(params, read_shape(TRAIN), CPU, RETRAINED_SEED)
    training = params.training.model_copy(update={"seed": RETRAINED_SEED})
    train_model(model, remain.images, remain.labels, params=training, precision="float32", on_epoch=lambda _: None)
    base = load_for(params, read_shape(TRAIN), CPU, BASE_MODEL)
    strangers = calibration.take(draw_people(calibration.subject_ids, int(is_gone.sum()), RETRAINED_SEED))

    def measure(samples: Samples) -> Rises:
        found = find_candidates(base, samples.images, samples.labels, params.adversarial)
        return Rises(measure_rise(base, model.eval(), *found.examples), samples.subject_ids[found.is_found.numpy()])

    gone = everybody.select(is_gone)
    trace = compare_rises(measure(gone), measure(strangers))
    return trace.auc, trace.auc_by_person, measure_weights(base, model, gone, strangers, CPU).auc_by_person


def test_a_killed_run_is_gone_on_with_and_shows_what_waves_would_show(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []
    searched: list[int] = []

    def note(title: str, total: int, unit: str) -> AbstractContextManager[Advance]:
        searched.extend([total] * (title == "examples"))
        return show_progress(title, total, unit)

    def build(params: Params, shape: Any, device: torch.device, seed: int) -> nn.Module:
        if len(seeds) == 2:
            seeds.append(-1)
            raise KilledError
        seeds.append(seed)
        return build_for(params, shape, device, seed)

    monkeypatch.setattr(retrained, "build_for", build)
    monkeypatch.setattr(retrained, "show_progress", note)
    with pytest.raises(KilledError):
        retrain_beside_base(params, CPU)
    assert len(list_kept()) == 2
    assert min(searched) > 20
    list_kept()[0].write_text("[0.", encoding="ascii")  # the machine went down while it was written
    figures = retrain_beside_base(params, CPU)
    assert searched[2:] == [0, 0], "of examples that a killed run has found none is searched again"
    assert not PARTIAL_ADVERSARIAL.exists()
    first = RETRAINED_SEED
    assert (seeds[:2], len(seeds[3:]), set(seeds) - {-1}) == ([first, first + 1], 3, set(range(first, first + 4)))
    assert (figures.num_people, len(figures.trace_by_person), len(set(figures.trace_by_person))) == (20, 4, 4)
    assert 18 <= figures.num_strangers <= 22
    assert (figures.trace[0], figures.trace_by_person[0], figures.weights_by_person[0]) == measure_first(params)
    assert 0.02 < (figures.trace_standard_error or 0.0) < 0.2
    assert (len(figures.weights_by_person), len(set(figures.weights_by_person))) == (4, 4)
    more = params.references.model_copy(update={"num_retrained": NUM_MODELS + 1, "num_audit": 0})
    retrain_beside_base(params.model_copy(update={"references": more}), CPU)
    assert seeds[6:] == [first + NUM_MODELS], "of more models the earlier ones are not made again"
    num_built = len(seeds)
    assert retrain_beside_base(params, CPU) == figures, "what is measured is not measured again"
    assert len(seeds) == num_built
    other = params.training.model_copy(update={"epochs": 11})
    assert retrain_beside_base(params.model_copy(update={"training": other}), CPU) != figures
    assert len(list_kept()) == NUM_MODELS, "what was measured on other inputs is gone"


def test_no_model_knows_who_is_left_out(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    everybody, calibration = read_samples(TRAIN), read_samples(CALIBRATION)
    drawn = [retrained.draw_model(everybody, calibration, NUM_PEOPLE, seed) for seed in range(3)]
    left_out = [set(everybody.subject_ids[model.left_out]) for model in drawn]
    assert [len(people) for people in left_out] == [NUM_PEOPLE] * 3
    assert left_out[0] != left_out[1] != left_out[2]
    assert drawn[0].strangers.tolist() != drawn[1].strangers.tolist()
    seen: list[torch.Tensor] = []

    def note(model: nn.Module, images: ImageSet, labels: torch.Tensor, **settings: Any) -> bool:
        seen.append(images.read_all())
        assert len(images) == len(labels)
        return train_model(model, images, labels, **settings)

    monkeypatch.setattr(retrained, "train_model", note)
    seeded = params.model_copy(update={"references": params.references.model_copy(update={"seed": 5})})
    retrain_beside_base(seeded, CPU)
    for number, images in enumerate(seen):
        gone = retrained.draw_model(everybody, calibration, NUM_PEOPLE, RETRAINED_SEED + 5000 + number).left_out
        remain = everybody.select(~np.isin(np.arange(len(everybody)), gone))
        assert torch.equal(images, remain.images)
    assert len(seen) == NUM_MODELS


def test_who_has_images_on_both_sides_is_no_stranger(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    half, known = read_samples(CALIBRATION), read_samples(TRAIN).subject_ids[0]
    names = half.subject_ids.copy()
    names[:6] = known
    shared = Samples(half.sample_ids, names, half.labels, half.payloads)
    seen: list[list[str]] = []

    def note(train: Samples, calibration: Samples, num_people: int, seed: int) -> retrained.Drawn:
        seen.append(calibration.sample_ids.tolist())
        return draw(train, calibration, num_people, seed)

    draw = retrained.draw_model
    monkeypatch.setattr(retrained, "draw_model", note)
    open_file = SampleOpener.open
    monkeypatch.setattr(SampleOpener, "open", lambda one, path: shared if path == CALIBRATION else open_file(one, path))
    monkeypatch.setattr(retrained, "_measure_all", lambda *_: [])
    retrain_beside_base(params, CPU)
    assert seen == [half.sample_ids[6:].tolist()] * NUM_MODELS


def test_strangers_are_as_many_people_as_a_figure_takes() -> None:
    """Where held-out people have many more samples each than those who are left out, a few would have as many."""
    train = make_people("train", 56, 1)
    drawn = [retrained.draw_model(train, make_people("held out", 30, 9), 14, seed) for seed in range(5)]
    assert [len({row // 9 for row in model.strangers}) for model in drawn] == [MIN_PEOPLE] * 5
    few = retrained.draw_model(train, make_people("held out", 10, 9), 14, 0)
    assert len(few.strangers) == 90, "all there are"


def make_people(name: str, num_people: int, num_samples: int) -> Samples:
    """Returns samples of so many people, with so many each."""
    people = np.array([f"{name} {number:03}" for number in range(num_people)]).repeat(num_samples)
    ids = np.array([f"{name} {number}" for number in range(len(people))])
    return Samples(ids, people, torch.zeros(len(people), dtype=torch.long), torch.zeros(len(people), 1, 8, 8))


def test_too_few_people_are_no_reason_to_retrain(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrained, "count_left_out", lambda *_: 0)
    figures = retrain_beside_base(params, CPU)
    assert figures == RetrainedFigures(num_asked=NUM_MODELS, num_people=0, num_strangers=0, trace_by_person=[])
