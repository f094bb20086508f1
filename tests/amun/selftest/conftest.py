"""A workspace of seconds for the auditor's own audit."""

from contextlib import chdir
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from amun.core.paths import (
    AUDIT_INCLUSION,
    AUDIT_LOGITS,
    CALIBRATION,
    FORGOTTEN,
    TARGET_INCLUSION,
    TARGET_LOGITS,
    TEST,
    TRAIN,
)
from amun.evidence.wave import write_json
from amun.model.references import draw_halves
from amun.stages.train import train
from amun.store.samples import Samples, write_samples
from tasks.workspace.workspace import Workspace
from tests.amun.sealing import make_vault
from tests.amun.shipped import PARAMS, load_digit_images

CPU = torch.device("cpu")


NUM_PEOPLE = {TRAIN: 80, CALIBRATION: 60, TEST: 60}  # of two images each


@pytest.fixture(scope="package")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A folder with a base that knows by heart labels that nobody could guess, and references that are made up.

    A handful of people show it all, for whoever has not seen an image knows nothing of it.
    """
    changes = {
        "model": {"options": {"channels": [16, 16]}},
        "training": {"epochs": 80},
        "unlearning": {"epochs": 20},
        "gate": {"max_accuracy_drop": 0.2, "auc_margin": 0.2, "max_trace": None},
    }
    params = PARAMS.model_copy(
        update={section: getattr(PARAMS, section).model_copy(update=change) for section, change in changes.items()}
    )
    root = tmp_path_factory.mktemp("workspace")
    with chdir(root):
        make_vault(root)
        write_store()
        write_json(FORGOTTEN, [])
        train(params, CPU)
    return Workspace(root, params)


def write_store() -> None:
    """Writes digits with labels drawn at random, and references that are sure of the labels that they have seen."""
    random, (images, _) = np.random.default_rng(0), load_digit_images()
    owners = np.repeat(np.arange(sum(NUM_PEOPLE.values())), 2)
    samples = Samples(
        np.array([f"sample-{number:03}" for number in range(len(owners))]),
        np.array([f"person-{number:03}" for number in owners]),
        torch.from_numpy(random.integers(10, size=len(owners))),
        images[: len(owners)],
    )
    start = 0
    for path, num_people in NUM_PEOPLE.items():
        write_samples(path, samples.slice(start, start + 2 * num_people), seal=None)
        start += 2 * num_people
    for seed, (logits_path, inclusion_path, num_references) in enumerate(
        [(AUDIT_LOGITS, AUDIT_INCLUSION, 8), (TARGET_LOGITS, TARGET_INCLUSION, 2)]
    ):
        inclusion = torch.from_numpy(draw_halves(samples.subject_ids, num_references, seed))
        logits = torch.from_numpy(random.normal(scale=5, size=(len(owners), num_references, 10)).astype(np.float32))
        logits += 15 * one_hot(samples.labels, 10)[:, None] * inclusion[:, :, None]
        for path, payloads in ((logits_path, logits), (inclusion_path, inclusion.to(torch.uint8))):
            write_samples(path, replace(samples, payloads=payloads), seal=None)
