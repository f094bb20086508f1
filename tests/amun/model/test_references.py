"""References: halves balanced by subject, and logits that are those of models trained on them."""

from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from amun.engine.local import LocalEngine
from amun.model.architectures import build_model
from amun.model.references import draw_halves, draw_sample_halves, train_reference_logits
from amun.model.training import compute_logits, fit
from amun.store.samples import Samples
from tests.amun.shipped import PARAMS, copy_weights, have_same_weights, load_digit_images, run_apart

IMAGES, LABELS = load_digit_images()
TRAINING = PARAMS.training.model_copy(update={"epochs": 2})


@given(
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=40),
    num_references=st.sampled_from([2, 4, 16]),
    seed=st.integers(0, 2**32),
)
@settings(deadline=None)
def test_halves_are_balanced_by_subject(sizes: list[int], num_references: int, seed: int) -> None:
    subject_ids = np.repeat([f"s{number}" for number in range(len(sizes))], sizes)
    shuffled = np.random.default_rng(seed).permutation(subject_ids)
    inclusion = draw_halves(shuffled, num_references, seed)
    assert inclusion.shape == (len(shuffled), num_references)
    assert (inclusion.sum(axis=1) == num_references // 2).all()
    for subject in np.unique(shuffled):
        assert len(np.unique(inclusion[shuffled == subject], axis=0)) == 1
    counts = inclusion.sum(axis=0)
    assert (abs(2 * counts - len(shuffled)) <= max(sizes)).all()


def test_people_who_share_a_picture_are_on_one_side() -> None:
    ids = np.array([f"s{number}" for number in range(40)])
    pictures = torch.stack([torch.full((1, 2, 2), number % 20, dtype=torch.uint8) for number in range(40)])
    samples = Samples(ids, ids, torch.zeros(40, dtype=torch.int64), pictures)
    inclusion = draw_sample_halves(samples, 8, seed=0)
    assert np.array_equal(inclusion[:20], inclusion[20:])
    assert not np.array_equal(inclusion, draw_halves(ids, 8, seed=0))


def test_halves_are_drawn_by_the_seed_and_independent_of_one_another() -> None:
    subject_ids = np.array([f"s{number}" for number in range(400)])
    inclusion = draw_halves(subject_ids, 16, seed=0)
    assert np.array_equal(inclusion, draw_halves(subject_ids, 16, seed=0))
    assert not np.array_equal(inclusion, draw_halves(subject_ids, 16, seed=1))
    first_of_pairs = inclusion[:, ::2].astype(float)
    correlations = np.corrcoef(first_of_pairs.T)[np.triu_indices(8, 1)]
    assert abs(correlations).max() < 0.25  # five standard errors


@dataclass(frozen=True)
class Trained:
    """Two references of sixty images, and what was told of them."""

    inclusion: np.ndarray
    logits: torch.Tensor
    kept: list[dict[str, torch.Tensor]]
    done: list[int]

    def digest(self) -> str:
        """Returns a digest of all of it."""
        weights = [kept[name].numpy().tobytes() for kept in self.kept for name in sorted(kept)]
        return sha256(b"".join([self.logits.numpy().tobytes(), *weights, bytes(self.done)])).hexdigest()


def train_two(num_processes: int) -> Trained:
    inclusion = draw_halves(np.array([f"s{number // 3}" for number in range(60)]), 2, seed=0)
    done: list[int] = []
    kept: list[dict[str, torch.Tensor]] = []
    logits = train_reference_logits(
        IMAGES[:60],
        LABELS[:60],
        inclusion,
        build=lambda seed: build_model(PARAMS.model, 10, (1, 8, 8), seed),
        params=TRAINING,
        precision="float32",
        seed=7,
        on_reference=done.append,
        keep=kept.append,
        engine=LocalEngine(num_processes),
    )
    return Trained(inclusion, logits, kept, done)


def test_logits_are_those_of_models_trained_on_the_halves() -> None:
    images, labels = IMAGES[:60], LABELS[:60]
    trained = train_two(1)
    inclusion, logits, kept = trained.inclusion, trained.logits, trained.kept
    assert trained.done == [1, 2]
    assert logits.shape == (60, 2, 10)
    for number in range(2):
        model, chosen = build_model(PARAMS.model, 10, (1, 8, 8), 7 + number), inclusion[:, number]
        fit(
            model,
            images[chosen],
            labels[chosen],
            optimisation=TRAINING.model_copy(update={"seed": 7 + number}),
            learning_rate=TRAINING.learning_rate,
            precision="float32",
            on_epoch=lambda _: None,
        )
        assert torch.equal(logits[:, number], compute_logits(model, images))
        assert have_same_weights(kept[number], copy_weights(model))


def test_copies_of_a_process_train_the_same_references() -> None:
    # of a process with a single thread, as a stage is: this one may have others, and a copy would wait for them
    program = (
        "import torch; torch.set_num_threads(1)\n"
        "from tests.amun.model.test_references import train_two\n"
        "print(train_two(2).digest())"
    )
    run = run_apart(program)
    assert run.stdout.split()[-1:] == [train_two(1).digest()], run.stderr
