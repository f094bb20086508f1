"""What a wave does about other people's copies of a picture, and what a request is told of them."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from dvc.repo import Repo

from amun.core.keys import create_secret
from amun.core.paths import CALIBRATION, FORGOTTEN, PREPARE_METRICS, TEST, TRAIN
from amun.core.paths import PARAMS as PARAMS_FILE
from amun.evidence.wave import ForgottenWave, write_json
from amun.store.forgetting import name_forgotten
from amun.store.samples import Samples, write_samples
from amun.store.store import read_owners
from tasks.tools.contents import locate_cached
from tasks.tools.digests import compute_md5
from tasks.tools.dvc import LOCK_FILE
from tasks.tools.git import commit_paths, run_git
from tasks.workspace.source import describe_samples
from tasks.workspace.twins import STORES, SharedPictures, describe_settled, find_shared, settle
from tasks.workspace.workspace import Workspace
from tests.amun.shipped import PARAMS
from tests.flows.pages.test_request_page import make_wave

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
    create_secret(tmp_path)
    return tmp_path


def write_store(path: Path, rows: dict[str, tuple[str, int]]) -> None:
    owners = np.array([owner for owner, _ in rows.values()])
    pictures = torch.tensor([number for _, number in rows.values()], dtype=torch.uint8)
    payloads = pictures[:, None, None, None].expand(-1, 1, 4, 4).contiguous()
    write_samples(
        path, Samples(np.array(list(rows)), owners, torch.zeros(len(rows), dtype=torch.int64), payloads), seal=None
    )


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


def test_who_was_forgotten_is_told_of_what_others_had_then(root: Path) -> None:
    run_git(root, "init", "--quiet")
    Repo.init(str(root)).close()
    (root / LOCK_FILE).write_text(yaml.safe_dump({"stages": {"prepare": {"outs": keep_in_cache(root)}}}), "ascii")
    (root / PARAMS_FILE).write_text("data: {twins: forget_too}", encoding="ascii")
    write_json(root / FORGOTTEN, [forget(open_at(root, "forget_too"), "ann")])
    commit = commit_paths(root, [LOCK_FILE, str(PARAMS_FILE), str(FORGOTTEN)], "wave 1")
    honoured = replace(make_wave(None), number=1)
    told = SharedPictures(2, 3, 3, 3, is_kept=False, wave=1)
    assert find_shared(open_at(root, "keep"), "ann", replace(honoured, commit=commit)) == told
    assert told.describe().endswith(": they were forgotten with them (data.twins, as wave 1 found it)")
    # a new base: neither she nor what went with her is in the store any more
    write_store(root / TRAIN, {"b2": ("ben", 9)})
    write_store(root / CALIBRATION, {"e2": ("eve", 9)})
    write_json(root / FORGOTTEN, [])
    assert find_shared(open_at(root, "keep"), "ann") is None
    assert find_shared(open_at(root, "keep"), "ann", replace(honoured, commit=commit)) == told
    # and where nobody knows any more, nothing is made up
    assert find_shared(open_at(root, "keep"), "ann", replace(honoured, commit="1" * 40)) is None
    shutil.rmtree(root / ".dvc/cache")
    assert find_shared(open_at(root, "keep"), "ann", replace(honoured, commit=commit)) is None


def keep_in_cache(root: Path) -> list[dict[str, str]]:
    """Puts the store files into DVC's cache; returns them as `dvc.lock` names them."""
    digests = {str(path): str(compute_md5(root / path)) for path in STORES}
    for path, cached in zip(STORES, locate_cached(root, list(digests.values())).values(), strict=True):
        cached.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / path, cached)
    return [{"path": path, "md5": digest} for path, digest in digests.items()]


def test_prepare_tells_each_kind(root: Path) -> None:
    metrics = {"num_train": 5, "num_calibration": 1, "num_test": 2, "num_excluded": 0}
    twins = {"num_samples": 7, "num_people": 5, "num_labels": 0, "num_apart": 1}
    write_json(root / PREPARE_METRICS, metrics | {"twins": twins})
    assert describe_samples(root).splitlines()[1] == (
        "  same pictures: 7 samples, of 5 people, with one that another person has too, 1 held out, and so taken for "
        "never seen, with one that is trained on under another name"
    )
