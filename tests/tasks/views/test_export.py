"""What of a base's classes a person is told."""

from pathlib import Path

from amun.core.keys import parse_secret, store_secret, subject_key
from amun.core.paths import PREPARE_METRICS
from amun.evidence.wave import write_json
from tasks.tools.git import commit_paths, run_git
from tasks.views.export import _read_classes
from tests.amun.sealing import SECRET


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
