"""What a person is told of a base's classes, and given of what the store holds."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from dvc.repo import Repo

from amun.core.keys import parse_secret, store_secret, subject_key
from amun.core.paths import PREPARE_METRICS, TRAIN
from amun.evidence.wave import write_json
from tasks.tools.contents import locate_cached
from tasks.tools.git import commit_paths, run_git
from tasks.views.export import _read_classes, read_images
from tasks.views.trace import Trace, TracedVersion
from tasks.workspace.store_files import StoreFile
from tests.amun.pictures import encode, paint, write_encoded
from tests.amun.sealing import SECRET, make_vault


def test_where_classes_are_people_each_is_told_of_their_own_alone(tmp_path: Path) -> None:
    run_git(tmp_path, "init", "--quiet")
    store_secret(tmp_path, SECRET)
    ann, ben = (subject_key(parse_secret(SECRET, ""), name) for name in ("Ann\u00e9", "ben"))
    counts = dict.fromkeys(("num_train", "num_calibration", "num_test", "num_excluded"), 0)
    write_json(tmp_path / PREPARE_METRICS, counts | {"classes": [ann, ben, "nobody", "deadbeef"]})
    commit = commit_paths(tmp_path, [str(PREPARE_METRICS)], "a base of faces")
    # however the name is composed
    assert _read_classes(tmp_path, commit, "Anne\u0301") == ["Anne\u0301", "", "nobody", "deadbeef"]
    assert _read_classes(tmp_path, commit, "ben") == ["", "ben", "nobody", "deadbeef"]


@pytest.mark.parametrize("is_sealed", [True, False])
def test_files_that_the_store_keeps_are_given_as_they_came_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_sealed: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    run_git(tmp_path, "init", "--quiet")
    Repo.init(str(tmp_path)).close()
    vault = make_vault(tmp_path)
    files = [encode(paint(row, size=(32, 24)), "JPEG") for row in range(4)]
    write_encoded(TRAIN, files, ["ann", "ben"], vault if is_sealed else None)
    digest = "0123456789abcdef0123456789abcdef"
    cached = locate_cached(tmp_path, {digest})[digest]
    cached.parent.mkdir(parents=True)
    shutil.move(TRAIN, cached)
    counts = dict.fromkeys(("num_train", "num_calibration", "num_test", "num_excluded"), 0)
    write_json(tmp_path / PREPARE_METRICS, counts | {"classes": ["cat"]})
    commit = commit_paths(tmp_path, [str(PREPARE_METRICS)], "a base")
    version = TracedVersion(1, 0, "", commit, (), 2, 0, None, is_retrained=False, weights_erased_at=None, role="")
    held = StoreFile(str(TRAIN), digest, (0,), 2, "file")
    images = list(read_images(tmp_path, Trace("model", "ben", "key", [held], [], [version], [])))
    assert [image.original for image in images] == files[2:]
    assert [image.class_name for image in images] == ["cat", "cat"]
    assert not np.array_equal(images[0].payload, images[1].payload)
