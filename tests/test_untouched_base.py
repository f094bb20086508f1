"""The untouched base is refused: on the demo's own people the gate sees the leak, whatever seed trained the base."""

import shutil
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

import pytest
import torch

from amun.params import Params
from amun.paths import ATTEMPT, UNLEARNED, WAVE_BASE
from amun.stages.adversarial import build_adversarial_set
from amun.stages.references import train_references
from amun.stages.train import train
from amun.stages.unlearn import unlearn
from amun.wave import Attempt, write_json
from bench.seed import BASE, RETRAINED, Row, freeze_wave, measure, prepare_store
from flows.demo import NUM_SAMPLES
from tests.amun.shipped import PARAMS

NUM_SEEDS = 5
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Row, Row]]:
    """Base and exactly retrained model for each seed, on the demo's split, references and first wave."""
    # the references that judge are the shipped ones; those for labels take no part
    params = PARAMS.model_copy(update={"references": PARAMS.references.model_copy(update={"num_target": 2})})
    with enter_workspace(tmp_path_factory.mktemp("demo")):
        prepare_store(params, CPU)
        train_references(params, CPU)
        write_json(ATTEMPT, Attempt(attempt=len(params.unlearning.attempts)))
        measured = [measure_pair(params, seed) for seed in range(NUM_SEEDS)]
    for pair in measured:
        print(*pair, sep="\n")
    return measured


@contextmanager
def enter_workspace(folder: Path) -> Iterator[None]:
    """Works in the folder, with the shipped number of threads, as a stage does."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(PARAMS.runtime.num_threads)
    with chdir(folder):
        yield
    torch.set_num_threads(num_threads)


def measure_pair(params: Params, seed: int) -> tuple[Row, Row]:
    """Trains a base with this seed and retrains without the wave's people; returns the figures of both."""
    seeded = params.model_copy(update={"training": params.training.model_copy(update={"seed": seed})})
    train(seeded, CPU)
    freeze_wave(seeded, NUM_SAMPLES)
    build_adversarial_set(seeded, CPU)
    base = measure(BASE, seeded, CPU, lambda: shutil.copyfile(WAVE_BASE, UNLEARNED))
    return base, measure(RETRAINED, seeded, CPU, lambda: unlearn(seeded, CPU))


def test_every_untouched_base_is_refused(rows: list[tuple[Row, Row]]) -> None:
    assert [base.passed for base, _ in rows] == [False] * NUM_SEEDS


def test_exact_retraining_is_nearer_to_one_half(rows: list[tuple[Row, Row]]) -> None:
    assert all(abs(retrained.calibration_ft_auc - 0.5) < abs(base.calibration_ft_auc - 0.5) for base, retrained in rows)
