"""The file of all that is held on a person: its images, its tables, what is told of it."""

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from amun.ledger import Holding, Request
from amun.ledger.records import Approval, Denial, Erasure, Hold, Outcome, UndoneOutcome
from flows.pages.export_file import _add_images, _describe, _describe_request, _tell
from tasks.tools.git import commit_paths, run_git
from tasks.views.export import Facts, HeldImage
from tasks.views.trace import Trace
from tasks.workspace.store_files import StoreFile
from tasks.workspace.workspace import Workspace
from tests.amun.shipped import PARAMS

NIGHT = datetime(2026, 1, 31, 3, tzinfo=UTC)
GENERATOR = np.random.default_rng(0)


def make_image(sample_id: str, kind: str, waves: tuple[int, ...], payload: np.ndarray) -> HeldImage:
    return HeldImage(sample_id, kind, kind.endswith("adversarial"), waves, 1, "dog", payload)


def pack(images: Sequence[HeldImage]) -> tuple[tuple[int, int], ZipFile]:
    file = io.BytesIO()
    with ZipFile(file, "w") as archive:
        counts = _add_images(archive, iter(images))
    return counts, ZipFile(file)


def test_images_come_back_pixel_for_pixel() -> None:
    for channels in (1, 3, 4):
        colours = GENERATOR.integers(0, 256, (channels, 5, 4), dtype=np.uint8)
        floats = GENERATOR.random((channels, 5, 4), dtype=np.float32)
        _, archive = pack([make_image("a", "train", (0,), colours), make_image("b", "train", (0,), floats)])
        for name, pixels in (("a", colours), ("b", np.round(floats * 255).astype(np.uint8))):
            with Image.open(io.BytesIO(archive.read(f"images/train/{name}.png"))) as image:
                found = np.atleast_3d(np.asarray(image)).transpose(2, 0, 1)
            assert np.array_equal(found, pixels)
        assert np.array_equal(np.load(io.BytesIO(archive.read("images/train/b.npy"))), floats)
        assert sorted(archive.namelist()) == [
            *(f"images/train/{name}" for name in ("a.png", "b.npy", "b.png")),
            "samples.csv",
        ]


def test_file_that_a_sample_came_in_is_there_beside_its_pixels() -> None:
    pixels = GENERATOR.integers(0, 256, (3, 5, 4), dtype=np.uint8)
    files = {}
    for name, kind in (("a", "JPEG"), ("b", "PNG"), ("c", "WEBP")):
        file = io.BytesIO()
        Image.fromarray(pixels.transpose(1, 2, 0)).save(file, kind)
        files[name] = file.getvalue()
    images = [replace(make_image(name, "test", (0,), pixels), original=file) for name, file in files.items()]
    _, archive = pack([*images, make_image("d", "test", (0,), pixels)])
    originals = {name for name in archive.namelist() if "original" in name}
    assert originals == {f"images/test/{name}" for name in ("a-original.jpg", "b-original.png", "c-original.webp")}
    assert archive.read("images/test/a-original.jpg") == files["a"]


def test_sample_of_several_bases_is_there_once_and_each_wave_has_its_own_near_copies() -> None:
    payload = np.zeros((3, 2, 2), dtype=np.uint8)
    counts, archive = pack(
        [
            make_image("a", "train", (0, 1), payload),
            make_image("a", "train", (2, 3), payload),
            make_image("b", "train", (0, 1), payload),
            make_image("b", "test", (2, 3), payload),
            make_image("a", "adversarial", (1,), payload),
            make_image("a", "adversarial", (12,), payload),
        ]
    )
    assert counts == (2, 2)
    rows = csv.DictReader(io.StringIO(archive.read("samples.csv").decode()))
    assert [(row["file"], row["waves"], row["class"]) for row in rows] == [
        ("images/train/a.png", "0 1 2 3", "dog"),
        ("images/train/b.png", "0 1", "dog"),
        ("images/test/b.png", "2 3", "dog"),
        ("adversarial/0001/a.png", "1", "dog"),
        ("adversarial/0012/a.png", "12", "dog"),
    ]
    assert {archive.getinfo(name).external_attr >> 16 for name in archive.namelist()} == {0o600}


def make_facts(*erasures: Erasure | None, files: Sequence[StoreFile] = (), **others: object) -> Facts:
    """Returns what is known of ann, who has asked as often as there are erasures."""
    requests = [
        Request(
            f"R-{number:06d}",
            "ann",
            NIGHT,
            NIGHT,
            None,
            None,
            (),
            (Outcome("digits-cnn", "completed", 1, NIGHT, None, (), one),),
        )
        for number, one in enumerate(erasures, 1)
    ]
    trace = Trace("digits-cnn", "ann", "key", list(files), [], [], requests)
    known: dict[str, object] = {"elsewhere": {}, "waves": [], "copies": [], "shared": "", "is_suppressed": False}
    return Facts(trace=trace, **(known | others))  # type: ignore[arg-type]


BEGUN = Erasure(NIGHT, NIGHT, started_at=NIGHT)
ERASED = Erasure(NIGHT, NIGHT, NIGHT, NIGHT, NIGHT)


def test_line_says_how_far_erasure_has_come() -> None:
    path = Path("x.zip")
    assert _tell(make_facts(), 1, 0, path) == "written: x.zip: 1 sample, 0 near-copies and 0 requests of 'ann'"
    assert _tell(make_facts(None, Erasure(NIGHT, NIGHT)), 2, 1, path).endswith("1 near-copy and 2 requests of 'ann'")
    assert _tell(make_facts(ERASED, BEGUN), 0, 0, path) == (
        "this workspace can open no sample of 'ann': being erased since 2026-01-31 under request R-000002; "
        "in x.zip is what the ledger keeps: 2 requests"
    )
    readable = _tell(make_facts(BEGUN), 3, 0, path)
    assert readable.endswith(
        "3 samples, 0 near-copies and 1 request of 'ann'; 'ann' is being erased since 2026-01-31 under request R-000001"
    )
    lost = StoreFile("data/train.parquet", "0" * 32, (3, 4), None, "nothing")
    elsewhere = {"faces": Holding("ann", 3, 1)}
    told = _tell(make_facts(ERASED, files=[lost], elsewhere=elsewhere, is_suppressed=True), 0, 0, path)
    assert ": erased on 2026-01-31 under request R-000001; " in told
    assert told.endswith(
        "; the model faces holds 4 samples; the suppression list has the person; "
        "1 file not in this cache, which `dvc fetch --all-commits` brings"
    )


def test_readme_says_what_is_not_in_the_file(tmp_path: Path) -> None:
    run_git(tmp_path, "init", "--quiet")
    (tmp_path / "params.yaml").touch()
    commit = commit_paths(tmp_path, ["params.yaml"], "no wave yet")
    lost = StoreFile("wave/adversarial.parquet", "0" * 32, (3,), None, "nothing")
    facts = make_facts(
        ERASED, files=[lost], elsewhere={"faces": Holding("ann", 3, 1)}, shared="1 sample shows", is_suppressed=True
    )
    text = _describe(Workspace(tmp_path, PARAMS), facts, 1, 2)
    for words in (
        "What digits-cnn holds on ann: 1 sample, 2 near-copies and 1 request\n",
        commit,
        "This person is erased on 2026-01-31 under request R-000001",
        "suppression list",
        "1 sample shows. Not in here: those of others.",
        "Not in here: 4 samples of this person in the model faces;",
        "Not in here: wave/adversarial.parquet of wave 3, which is not in the cache.",
    ):
        assert words in text


def test_reasons_of_holds_and_rollbacks_are_left_out() -> None:
    undone = UndoneOutcome("completed", 1, NIGHT, None, NIGHT, "a quarrel with ben")
    outcome = Outcome("digits-cnn", "completed", 2, NIGHT, None, (undone,), None)
    hold = Hold("evidence against ben", NIGHT, None, "approval", 2, (Approval("ben", NIGHT),))
    request = Request("R-000001", "ann", NIGHT, NIGHT, "T-1", None, (hold,), (outcome,))
    told = _describe_request(replace(request, denial=Denial("ben has asked", NIGHT)))
    assert "ben" not in repr(told)
    approvals = [{"approved_at": NIGHT}]
    assert list(told["holds"]) == [
        {"held_at": NIGHT, "released_at": None, "kind": "approval", "num_approvals": 2, "approvals": approvals}
    ]
    assert told["denial"] == {"denied_at": NIGHT}
    assert told["outcomes"][0]["undone"][0]["wave_number"] == 1


@pytest.mark.parametrize("num_lost", [0, 1])
def test_files_that_the_cache_has_are_not_missing(num_lost: int) -> None:
    files = [
        StoreFile("data/train.parquet", "1" * 32, (0,), 2, "file"),
        StoreFile("data/test.parquet", "2" * 32, (0,), 1, "ledger"),
    ]
    assert len(make_facts(files=files[: 1 + num_lost]).missing) == num_lost
