"""Which pictures are put on the suppression list: those that nobody else has, of every base that is at hand."""

import shutil
from pathlib import Path

import torch
import yaml
from dvc.repo import Repo

from amun.core.keys import load_secret, subject_key
from amun.core.paths import CALIBRATION, FORGOTTEN, PREPARE_METRICS, TEST, TRAIN
from amun.evidence.wave import ForgottenWave, write_json
from amun.store.alike import digest_pictures
from tasks.tools.dvc import LOCK_FILE
from tasks.tools.git import commit_paths, run_git
from tasks.workspace.store_files import read_lock
from tasks.workspace.suppressing import find_own_pictures
from tests.tasks.workspace.test_twins import keep_in_cache, open_at, root, write_store

__all__ = ["root"]


def list_pictures(root: Path, *people: str, **commits: str) -> set[int]:
    """Returns by their numbers which pictures of these people would be put on the list."""
    numbered = {digest_pictures(torch.full((1, 1, 4, 4), n, dtype=torch.uint8).numpy())[0]: n for n in range(20)}
    by_wave = {int(wave[1:]): commit for wave, commit in commits.items()}
    locks = {number: read_lock(root, commit) for number, commit in by_wave.items()}
    found, problem = find_own_pictures(open_at(root, "keep"), people, by_wave, locks)
    assert problem == ""
    return {numbered[one] for one in found}


def commit_base(root: Path) -> str:
    """Returns the commit of a wave whose base is what lies in the work tree."""
    (root / LOCK_FILE).write_text(yaml.safe_dump({"stages": {"prepare": {"outs": keep_in_cache(root)}}}), "ascii")
    return commit_paths(root, [LOCK_FILE, str(FORGOTTEN)], "a wave")


def test_picture_that_somebody_keeps_is_theirs(root: Path) -> None:
    run_git(root, "init", "--quiet")
    Repo.init(str(root)).close()
    commit_base(root)
    assert list_pictures(root, "ann") == set()
    assert list_pictures(root, "dora") == {7}
    assert list_pictures(root, "ann", "ben", "dora", "eve") == {1, 2, 7}
    assert list_pictures(root, "Zo\u00eb", "dora") == {4, 7}
    # of the others one has left by a request of their own, and one went with them
    went = ForgottenWave(
        number=1, subject_keys=[], forget_ids=["a1", "a2", "b1", "d1"], twin_ids=["d1"], held_out_ids=[]
    )
    write_json(root / FORGOTTEN, [went])
    assert list_pictures(root, "ann") == {1}


def test_pictures_of_every_base_in_the_cache_are_found(root: Path) -> None:
    run_git(root, "init", "--quiet")
    Repo.init(str(root)).close()
    first = commit_base(root)
    counts = dict.fromkeys(("num_samples", "num_people", "num_labels", "num_apart"), 0)
    splits = dict.fromkeys(("num_train", "num_calibration", "num_test", "num_excluded"), 2)
    write_store(root / TRAIN, {"d4": ("dora", 8), "b4": ("ben", 8), "x4": ("ben", 9)})
    write_store(root / CALIBRATION, {"d5": ("dora", 10)})
    write_store(root / TEST, {"e5": ("eve", 11)})
    write_json(root / PREPARE_METRICS, splits | {"twins": counts})
    second = commit_base(root)
    # where none have been counted nobody else's samples are opened
    assert list_pictures(root, "dora", w0=first, w1=first, w2=second) == {7, 8, 10}
    write_json(root / PREPARE_METRICS, splits | {"twins": counts | {"num_samples": 2}})
    assert list_pictures(root, "dora", w0=first, w1=second) == {7, 10}
    assert list_pictures(root, "dora", w1=second) == {10}
    shutil.rmtree(root / ".dvc/cache")
    assert list_pictures(root, "dora", w0=first, w1=second) == {10}


def test_picture_that_somebody_brought_with_a_later_base_is_theirs(root: Path) -> None:
    run_git(root, "init", "--quiet")
    Repo.init(str(root)).close()
    first = commit_base(root)
    figures = {"num_train": 2, "num_calibration": 2, "num_test": 2, "num_excluded": 4}
    counts = dict.fromkeys(("num_samples", "num_people", "num_labels", "num_apart"), 0)
    write_json(root / PREPARE_METRICS, figures | {"twins": counts})
    write_store(root / TRAIN, {"b7": ("ben", 7), "e9": ("eve", 9)})
    write_store(root / TEST, {"a3": ("Zoe\u0308", 4)})
    second = commit_base(root)
    assert list_pictures(root, "dora", w0=first, w1=second) == set()
    # and nobody's once the other person is forgotten, too
    went = ForgottenWave(number=1, subject_keys=[], forget_ids=["b7"], twin_ids=[], held_out_ids=[])
    write_json(root / FORGOTTEN, [went])
    assert list_pictures(root, "dora", w0=first, w1=second) == {7}
    # known as the person, too: a later base may have named the samples otherwise
    key = subject_key(load_secret(root), "ben")
    for names in ("subject_keys", "canary_keys"):
        write_json(root / FORGOTTEN, [went.model_copy(update={names: [key], "forget_ids": ["other"]})])
        assert list_pictures(root, "dora", w0=first, w1=second) == {7}


def test_base_of_head_is_looked_into_while_the_work_tree_has_another(root: Path) -> None:
    run_git(root, "init", "--quiet")
    Repo.init(str(root)).close()
    head = commit_base(root)
    # the stage has written the next base, and its wave is not committed
    write_store(root / TRAIN, {"b4": ("ben", 8)})
    write_store(root / TEST, {"d4": ("dora", 9)})
    assert list_pictures(root, "dora", w0=head) == {7, 9}


def test_damaged_file_costs_nobody_the_pictures_of_another(root: Path) -> None:
    write_store(root / TEST, {"d3": ("dora", 9), "f1": ("fay", 10)})
    (root / TRAIN).write_bytes((root / TRAIN).read_bytes()[:-20])
    found, problem = find_own_pictures(open_at(root, "keep"), {"dora", "fay"}, {}, {})
    assert len(found) == 2
    assert str(root / TRAIN) in problem


def test_nobody_elses_samples_are_opened_in_an_earlier_base_without_twins(root: Path) -> None:
    run_git(root, "init", "--quiet")
    Repo.init(str(root)).close()
    splits = dict.fromkeys(("num_train", "num_calibration", "num_test", "num_excluded"), 2)
    counts = dict.fromkeys(("num_samples", "num_people", "num_labels", "num_apart"), 0)
    write_json(root / PREPARE_METRICS, splits | {"twins": counts})
    commit_paths(root, [str(PREPARE_METRICS)], "figures of the first base")
    first = commit_base(root)
    write_store(root / TRAIN, {"b7": ("ben", 7)})
    write_store(root / CALIBRATION, {"e9": ("eve", 9)})
    assert list_pictures(root, "ann", w0=first) == {1, 2}
