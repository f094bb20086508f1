"""What a wave does about other people's copies of a picture, and what a request is told of them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from amun.core.paths import CALIBRATION, FORGOTTEN, PREPARE_METRICS, TEST, TRAIN
from amun.evidence.wave import ForgottenWave, write_json
from amun.store.forgetting import name_forgotten
from amun.store.samples import Samples, write_samples
from amun.store.store import read_owners
from tasks.workspace.source import describe_samples
from tasks.workspace.twins import STORES, SharedPictures, describe_settled, find_shared, settle
from tasks.workspace.workspace import Workspace
from tests.amun.shipped import PARAMS

# of each sample whose it is and which picture it shows
CONTENT = {
    TRAIN: {"a1": ("ann", 1), "a2": ("ann", 2), "b1": ("ben", 1), "d1": ("dora", 1), "d2": ("dora", 7)},
    CALIBRATION: {"e1": ("eve", 2)},
    TEST: {"a3": ("Zoe\u0308", 4), "d3": ("dora", 4)},
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A work tree with a store, and nobody forgotten."""
    for path, rows in CONTENT.items():
        write_store(tmp_path / path, rows)
    write_json(tmp_path / FORGOTTEN, [])
    return tmp_path


def write_store(path: Path, rows: dict[str, tuple[str, int]]) -> None:
    owners = np.array([owner for owner, _ in rows.values()])
    pictures = torch.tensor([number for _, number in rows.values()], dtype=torch.uint8)
    payloads = pictures[:, None, None, None].expand(-1, 1, 4, 4).contiguous()
    write_samples(path, Samples(np.array(list(rows)), owners, torch.zeros(len(rows), dtype=torch.int64), payloads))


def open_at(root: Path, twins: str) -> Workspace:
    return Workspace(root, PARAMS.model_copy(update={"data": PARAMS.data.model_copy(update={"twins": twins})}))


def forget(workspace: Workspace, *people: str) -> ForgottenWave:
    stores = [read_owners(workspace.root / path) for path in STORES]
    return settle(workspace, name_forgotten(b"secret", 1, list(people), stores, []), [])


def test_kept_twins_stay_and_the_wave_says_so(root: Path) -> None:
    forgetting = forget(open_at(root, "keep"), "ann")
    assert (forgetting.forget_ids, forgetting.shared_ids, forgetting.twin_ids) == (["a1", "a2"], ["a1"], [])
    assert describe_settled(forgetting).endswith("those of 1 of 2 training samples (data.twins: keep)")
    # who leaves the same night keeps nothing of it
    assert forget(open_at(root, "keep"), "ann", "ben", "dora").shared_ids == []
    assert describe_settled(forget(open_at(root, "keep"), "ben", "ann", "dora")) == ""


def test_twins_that_are_forgotten_too_go_with_their_split(root: Path) -> None:
    forgetting = forget(open_at(root, "forget_too"), "ann")
    assert (forgetting.forget_ids, forgetting.held_out_ids) == (["a1", "a2", "b1", "d1"], ["e1"])
    assert forgetting.twin_ids == ["b1", "d1", "e1"]
    assert len(forgetting.subject_keys) == 1
    assert describe_settled(forgetting).endswith("the same pictures: 3 (data.twins: forget_too)")


def test_store_without_twins_is_not_read(root: Path) -> None:
    counts = dict.fromkeys(("num_samples", "num_people", "num_labels", "num_apart"), 0)
    splits = dict.fromkeys(("num_train", "num_calibration", "num_test", "num_excluded"), 2)
    write_json(root / PREPARE_METRICS, splits | {"twins": counts})
    expected = forget(open_at(root, "forget_too"), "ann")
    assert (expected.forget_ids, expected.twin_ids) == (["a1", "a2"], [])
    assert find_shared(open_at(root, "keep"), "ann") is None
    write_json(root / PREPARE_METRICS, splits | {"twins": counts | {"num_samples": 6}})
    assert find_shared(open_at(root, "keep"), "ann") is not None


def test_request_is_told_of_what_others_have(root: Path) -> None:
    assert find_shared(open_at(root, "keep"), "ann") == SharedPictures(2, 3, 3, 0, is_kept=True)
    assert find_shared(open_at(root, "forget_too"), "Zo\u00eb") == SharedPictures(1, 1, 1, 0, is_kept=False)
    assert find_shared(open_at(root, "keep"), "nobody") is None
    own = ForgottenWave(number=1, subject_keys=[], forget_ids=["b1", "d1"], held_out_ids=["e1"])
    write_json(root / FORGOTTEN, [own])
    assert find_shared(open_at(root, "keep"), "ann") is None, "they have left by themselves"
    write_json(root / FORGOTTEN, [own.model_copy(update={"twin_ids": ["d1", "e1"]})])
    assert find_shared(open_at(root, "keep"), "ann") == SharedPictures(2, 2, 2, 2, is_kept=True)
    assert find_shared(open_at(root, "keep"), "dora") == SharedPictures(2, 2, 2, 0, is_kept=True)
    (root / TEST).unlink()
    assert find_shared(open_at(root, "keep"), "ann") is None, "a clone without its data"


def test_prepare_tells_each_kind(root: Path) -> None:
    metrics = {"num_train": 5, "num_calibration": 1, "num_test": 2, "num_excluded": 0}
    twins = {"num_samples": 7, "num_people": 5, "num_labels": 0, "num_apart": 1}
    write_json(root / PREPARE_METRICS, metrics | {"twins": twins})
    assert describe_samples(root).splitlines()[1] == (
        "  same pictures: 7 samples, of 5 people, with one that another person has too, 1 held out, and so taken for "
        "never seen, with one that is trained on under another name"
    )
