"""References that a killed run has trained are not trained again, and lie nowhere in clear."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from amun.core.errors import InputError
from amun.core.paths import KEYS
from amun.model.architectures import build_model
from amun.model.references import Trained, draw_halves, train_reference_logits
from amun.stages.kept_references import KeptReferences
from amun.store.rows import is_sealed
from amun.store.samples import Samples
from amun.vault.seal import Seal
from tests.amun.sealing import make_vault
from tests.amun.shipped import PARAMS, load_digit_images

IMAGES, LABELS = (part[:60] for part in load_digit_images())
SUBJECTS = np.array([f"s{number // 3}" for number in range(60)])
SAMPLES = Samples(np.array([f"{number:03}" for number in range(60)]), SUBJECTS, LABELS, IMAGES)
NUM_REFERENCES = 4


class KilledError(Exception):
    """In place of a signal."""


def train(keeper: KeptReferences | None, dies_at: int = 0) -> tuple[torch.Tensor, list[int]]:
    """Returns the logits, and the seeds of the models that were built for them."""
    seeds: list[int] = []

    def build(seed: int) -> nn.Module:
        seeds.append(seed)
        if len(seeds) == dies_at:
            raise KilledError
        return build_model(PARAMS.model, 10, (1, 8, 8), seed)

    logits = train_reference_logits(
        IMAGES,
        LABELS,
        draw_halves(SUBJECTS, NUM_REFERENCES, seed=0),
        build=build,
        params=PARAMS.training.model_copy(update={"epochs": 1}),
        precision="float32",
        seed=7,
        on_reference=lambda _: None,
        keeper=keeper,
    )
    return logits, seeds


@pytest.fixture
def seal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Seal:
    monkeypatch.chdir(tmp_path)
    return Seal(make_vault(tmp_path), "references of these files")


def test_killed_run_is_gone_on_with(tmp_path: Path, seal: Seal) -> None:
    keeper = KeptReferences(tmp_path / "kept", SAMPLES, seal)
    with pytest.raises(KilledError):
        train(keeper, dies_at=NUM_REFERENCES)
    files = list((tmp_path / "kept").iterdir())
    assert len(files) == NUM_REFERENCES - 1
    assert all(map(is_sealed, files))
    files[0].write_bytes(files[0].read_bytes()[:-9])  # the machine went down while it was written
    logits, seeds = train(keeper)
    assert len(seeds) == 2
    expected, every = train(None)
    assert torch.equal(logits, expected)
    assert (every, set(seeds) < set(every)) == ([7, 8, 9, 10], True)


@pytest.mark.parametrize("began_anew", [True, False])
def test_what_is_kept_comes_back_for_the_same_samples_alone(tmp_path: Path, seal: Seal, began_anew: bool) -> None:
    trained = Trained(np.random.default_rng(0).normal(size=(60, 10)).astype(np.float32), b"", began_anew)
    keeper = KeptReferences(tmp_path / "kept", SAMPLES, seal)
    keeper.keep("a1", trained)
    kept = keeper.read("a1")
    assert kept is not None
    assert (kept.began_anew, np.array_equal(kept.logits, trained.logits)) == (began_anew, True)
    assert keeper.read("a2") is None
    assert KeptReferences(tmp_path / "kept", SAMPLES.slice(0, 59), seal).read("a1") is None


def test_key_store_that_is_away_is_told_before_anything_is_trained(tmp_path: Path, seal: Seal) -> None:
    keeper = KeptReferences(tmp_path / "kept", SAMPLES, seal)
    with pytest.raises(KilledError):
        train(keeper, dies_at=2)
    (tmp_path / KEYS).unlink()
    with pytest.raises(InputError, match="no key store"):
        train(keeper, dies_at=1)
