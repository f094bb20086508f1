"""The null: exactly retrained models score 0.5 on average, while a base that leaks does not."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from amun.audit.rmia import compute_ratios, score_membership
from amun.audit.roc import compute_auc
from amun.core.params import AuditParams
from amun.model.architectures import build_model
from amun.model.references import draw_halves, train_reference_logits
from amun.model.training import compute_logits, fit
from tests.amun.shipped import PARAMS, load_digit_images

NUM_FORGET, NUM_REMAIN, NUM_HELD_OUT = 150, 300, 450
NUM_SEEDS, NUM_BASES, NUM_REFERENCES = 20, 8, 12
TRAINING = PARAMS.training.model_copy(update={"epochs": 20})
AUDIT: AuditParams = PARAMS.audit.model_copy(update={"signal": "softmax"})

IMAGES, LABELS = (tensor[:900] for tensor in load_digit_images())
SUBJECTS = np.array([f"s{number // 3}" for number in range(900)])


def build(seed: int) -> nn.Module:
    params = PARAMS.model.model_copy(update={"options": {"channels": [16, 32, 32]}})
    return build_model(params, 10, (1, 8, 8), seed)


def train_logits(chosen: Tensor, seed: int) -> Tensor:
    """Returns the logits of all samples by a model trained on the chosen ones."""
    model = build(seed)
    fit(
        model,
        IMAGES[chosen],
        LABELS[chosen],
        optimisation=TRAINING.model_copy(update={"seed": seed}),
        learning_rate=TRAINING.learning_rate,
        precision="float32",
        on_epoch=lambda _: None,
    )
    return compute_logits(model, IMAGES)


def draw_split(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the positions of forget, remain and held-out samples, drawn by subject."""
    order = np.random.default_rng(seed).permutation(np.unique(SUBJECTS))
    positions = np.concatenate([np.flatnonzero(subject == SUBJECTS) for subject in order])
    forget, remain, held_out = torch.split(torch.from_numpy(positions), [NUM_FORGET, NUM_REMAIN, NUM_HELD_OUT])
    return forget, remain, held_out


def compute_ft_auc(logits: Tensor, references: Tensor, forget: Tensor, held_out: Tensor) -> float:
    """Returns the AUC of forget against held-out samples."""
    ratios, population = (
        compute_ratios(logits[chosen], references[chosen], LABELS[chosen], AUDIT) for chosen in (forget, held_out)
    )
    return compute_auc(*(score_membership(each, population, AUDIT.gamma) for each in (ratios, population)))


@pytest.fixture(scope="module")
def references() -> Tensor:
    return train_reference_logits(
        IMAGES,
        LABELS,
        draw_halves(SUBJECTS, NUM_REFERENCES, seed=0),
        build=build,
        params=TRAINING,
        precision="float32",
        seed=1000,
        on_reference=lambda _: None,
    )


def mean_with_error(values: list[float]) -> tuple[float, float]:
    """Returns the mean and its standard error."""
    return float(np.mean(values)), float(np.std(values, ddof=1) / len(values) ** 0.5)


def test_exact_retraining_scores_one_half(references: Tensor) -> None:
    aucs = []
    for seed in range(NUM_SEEDS):
        forget, remain, held_out = draw_split(seed)
        aucs.append(compute_ft_auc(train_logits(remain, seed), references, forget, held_out))
    mean, error = mean_with_error(aucs)
    assert abs(mean - 0.5) < 3 * error
    assert error < 0.01  # so that the 0.45 of references drawn from the training set alone would not pass


def test_an_untouched_base_scores_clearly_more(references: Tensor) -> None:
    aucs = []
    for seed in range(NUM_BASES):
        forget, remain, held_out = draw_split(seed)
        base_logits = train_logits(torch.cat([forget, remain]), seed)
        aucs.append(compute_ft_auc(base_logits, references, forget, held_out))
    mean, error = mean_with_error(aucs)
    assert mean - 0.5 > 5 * error
