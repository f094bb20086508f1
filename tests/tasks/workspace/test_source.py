"""What is asked of a source around the stage: unknown to git, and the same invented people as before."""

from functools import partial
from pathlib import Path

import pytest

from amun.core.errors import InputError
from amun.core.paths import ADOPTED, EXCLUSIONS, PREPARE_METRICS
from amun.evidence.adoption import Adopted
from amun.evidence.wave import write_json
from amun.vault.vault import open_vault
from tasks.tools.git import run_git
from tasks.workspace.source import (
    describe_revision,
    describe_samples,
    glance_at_source,
    inspect_source,
    require_same_people,
    require_unknown_to_git,
)
from tests.amun.pictures import RULES, write_class_folder
from tests.amun.sealing import make_vault
from tests.amun.shipped import PARAMS

NO_TWINS = dict.fromkeys(("num_samples", "num_people", "num_labels", "num_apart"), 0)
METRICS = {"num_train": 5, "num_calibration": 2, "num_test": 2, "num_excluded": 3, "twins": NO_TWINS}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository in which a base with invented people is committed."""
    run_git(tmp_path, "init", "--quiet")
    write_json(tmp_path / PREPARE_METRICS, METRICS | {"people_digest": "first"})
    write_json(tmp_path / EXCLUSIONS, ["somebody"])
    run_git(tmp_path, "add", "--all")
    run_git(tmp_path, "commit", "--quiet", "--message", "A base")
    return tmp_path


def test_invented_people_must_stay_the_same_once_one_is_forgotten(root: Path) -> None:
    require_same_people(root)
    write_json(root / PREPARE_METRICS, METRICS | {"people_digest": "second"})
    with pytest.raises(InputError, match="names no subjects, and its images"):
        require_same_people(root)
    write_json(root / EXCLUSIONS, [])
    require_same_people(root)


def test_people_of_a_base_that_head_does_not_tell_of_are_not_taken_for_the_same(root: Path) -> None:
    run_git(root, "rm", "--quiet", "--cached", str(PREPARE_METRICS))
    run_git(root, "commit", "--quiet", "--message", "Tidied up")
    with pytest.raises(InputError, match=r"prepare\.json is not in HEAD"):
        require_same_people(root)
    write_json(root / EXCLUSIONS, [])
    require_same_people(root)


def test_samples_and_revision_are_told_in_a_line(root: Path) -> None:
    assert describe_samples(root) == "  samples: 5 train, 2 calibration, 2 test; refused of forgotten people: 3"
    write_json(root / PREPARE_METRICS, METRICS | {"num_excluded": 0})
    assert describe_samples(root) == "  samples: 5 train, 2 calibration, 2 test"
    listed = METRICS | {"num_suppressed": 4, "num_near": 1}
    write_json(root / PREPARE_METRICS, listed)
    near = "\n  suppression list: 1 person is called nearly as somebody erased, and taken in"
    told = "  samples: 5 train, 2 calibration, 2 test; refused of forgotten people: 3; refused of erased people: 4"
    exact = "\n  suppression list: it knows pictures to the pixel; one that was encoded anew comes in unnoticed"
    assert describe_samples(root) == told + exact + near
    write_json(root / PREPARE_METRICS, listed | {"num_suppressed_pictures": 2, "num_near": 0})
    assert describe_samples(root) == f"{told}, 2 of them by the picture alone{exact}"
    write_json(root / PREPARE_METRICS, listed | {"num_excluded": 0, "num_near": 0})
    assert describe_samples(root) == f"  samples: 5 train, 2 calibration, 2 test; refused of erased people: 4{exact}"
    write_json(root / ADOPTED, Adopted(source="weights.safetensors", digest="", accuracy=0.9))
    assert describe_samples(root).endswith(
        "\n  warning: weights.safetensors may have learned these erased people, whom no wave can forget anew"
    )
    assert describe_revision(root) == ""
    write_json(root / PREPARE_METRICS, METRICS | {"revision": {"rev_lock": "beef", "md5": "0123.dir"}})
    assert describe_revision(root) == "md5 0123.dir, rev_lock beef"


def test_images_of_erased_people_need_not_be_there(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    write_class_folder(root.parent / "images", {f"cat/{name}.png": name for name in ("ann", "ben", "cat")})
    data = PARAMS.data.model_copy(update={"source": "folder", "root": str(root.parent / "images"), "images": RULES})
    (root.parent / "images/cat/ann.png").unlink()
    looks = (inspect_source, partial(glance_at_source, seconds=10.0))
    # before there is a key store nobody can be on its list
    for _ in range(2):
        for look in looks:
            with pytest.raises(InputError, match=r"1 problem in the source: .* line 2: cat/ann.png is missing"):
                look(root, data)
        make_vault(root)
    open_vault(root).destroy_keys(["ann"])
    listing, _ = inspect_source(root, data)
    assert (listing.keys, listing.absent_keys) == (["cat/ben.png", "cat/cat.png"], ["cat/ann.png"])
    glanced = glance_at_source(root, data, 10.0).listing
    assert glanced is not None
    assert glanced.problems == []


def test_images_that_git_has_or_would_take_are_refused(root: Path) -> None:
    (root / "raw/images").mkdir(parents=True)
    (root / "raw/images/x.png").write_bytes(b"somebody")
    for data_root in ("raw/images", "raw", str(root / "raw")):
        with pytest.raises(InputError, match="what git has cannot be forgotten"):
            require_unknown_to_git(root, data_root)
    (root / "raw/.gitignore").write_text("/images\n", encoding="ascii")
    (root / "raw/images.dvc").write_text("outs: []\n", encoding="ascii")
    for elsewhere in ("raw/images", "raw", None, "s3://bucket/images", str(root.parent)):
        require_unknown_to_git(root, elsewhere)
    run_git(root, "add", "--force", "raw/images/x.png")
    with pytest.raises(InputError, match="what git has cannot be forgotten"):
        require_unknown_to_git(root, "raw/images")
