"""`amun erase verify` in a real workspace: before an erasure it finds all, after it nothing but what was planted."""

import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from amun.core.paths import ADVERSARIAL, AUDIT_LOGITS, CALIBRATION, HELD_OUT_ADVERSARIAL, TARGET_LOGITS, TEST, TRAIN
from tests.amun.scan.planting import PACKS
from tests.readme import read_blocks
from tests.workspaces import Site, choose_people, describe

FILES = (TRAIN, CALIBRATION, TEST, ADVERSARIAL, HELD_OUT_ADVERSARIAL, AUDIT_LOGITS, TARGET_LOGITS)
# the project's own tests hold some of these digits
ORACLE = "tests/oracle/algorithm1.safetensors"


@pytest.fixture
def apart(site: Site, tmp_path: Path) -> Site:
    """A workspace whose remote and temporary files are its own."""
    for name in ("tmp", "remote"):  # what lies in the one for all tests is others' as well
        (tmp_path / name).mkdir()
    site = Site(site.root, site.variables | {"TMPDIR": str(tmp_path / "tmp")})
    shutil.copytree(site.run("dvc", "config", "remote.storage.url").strip(), tmp_path / "remote", dirs_exist_ok=True)
    site.run("dvc", "remote", "modify", "storage", "url", str(tmp_path / "remote"))
    return site


def verify(site: Site, code: int, *options: str) -> dict[str, Any]:
    """Returns what a scan tells that has to end with this exit code."""
    finished = site.start("amun", "erase", "verify", *options, "--json")
    assert finished.returncode == code, describe(finished)
    told: dict[str, Any] = json.loads(finished.stdout)
    return told


def list_found(told: dict[str, Any], kind: str) -> dict[str, int]:
    """Returns how many copies of this kind there are by place."""
    return {place["place"]: sum(place[kind].values()) for place in told["places"] if place[kind]}


def find_person(site: Site) -> str:
    """Returns somebody forgotten of whom the project itself has no picture."""
    told = verify(site, 1, "--before")
    with_copies = {label for place in told["places"] for label in place["readable"]}
    requests: dict[str, str] = {
        request["request_id"]: request["subject_id"] for request in site.load("request", "list")
    }
    assert {place["place"] for place in told["places"] if place["readable"]} <= {"work tree", "git objects"}
    assert (site.root / ORACLE).exists()
    people = [one["label"] for one in told["people"] if one["label"] not in with_copies]
    held = set(choose_people(site)[:-1])
    return next(requests[label] for label in people if requests[label] in held)


def test_scan_finds_all_before_an_erasure_and_after_it_what_was_planted(apart: Site, tmp_path: Path) -> None:
    person = find_person(apart)
    train = apart.read(TRAIN)
    image = train.payloads[np.flatnonzero(train.subject_ids == person)[0]].numpy()
    before = verify(apart, 1, "--before", "--subject", person)
    num_rows = sum(int((apart.read(path).subject_ids == person).sum()) for path in FILES)
    assert list_found(before, "readable") == {}
    assert list_found(before, "sealed") == dict.fromkeys(["work tree", "DVC cache", "DVC remote storage"], num_rows)
    assert before["people"][0]["has_key"]

    apart.run("amun", "model", "weights", "1", "--to", str(tmp_path / "plain"))
    weights = (tmp_path / "plain").read_bytes()
    # of all versions the first alone has learned the person
    served = min(apart.root.glob(".amun/mlartifacts/**/model.pt2"), key=lambda path: path.stat().st_mtime).read_bytes()
    # an erasure waits for what lies where nobody else writes
    copy = apart.root / ".amun/selftest/copy"
    copy.parent.mkdir()
    copy.write_bytes(PACKS["zip"](image.tobytes()))
    held = apart.start("amun", "erase", "run", "--now", "--subject", person)
    assert (held.returncode, "not erased yet, for samples can still be read in .amun (1)" in held.stdout) == (1, True)
    copy.write_bytes(copy.read_bytes()[:-9])
    held = apart.start("amun", "erase", "run")
    assert (held.returncode, "not erased yet, for .amun could not be read whole" in held.stdout) == (1, True)
    copy.unlink()
    # not for weights: those in clear are told
    (apart.root / ".amun/selftest/left").write_bytes(weights)
    told_weights = "warning: weights of an erased model lie in clear: .amun (1); `amun erase verify` names "
    done = apart.run("amun", "erase", "run")
    assert (f"{person}: erased" in done, told_weights in done) == (True, True)
    (tmp_path / "tmp/served").write_bytes(served)
    told = verify(apart, 1, "--subject", person)
    assert list_found(told, "files") == {".amun": 1, "temporary files": 1}
    for left in (apart.root / ".amun/selftest/left", tmp_path / "tmp/served"):
        left.unlink()
    after = apart.run("amun", "erase", "verify", "--subject", person).splitlines()
    rows = {line.partition("  ")[0]: line.rpartition("  ")[2].strip() for line in after}
    (page,) = read_blocks("scan.md#the-command", "output")
    command, head, *_ = page.splitlines()
    assert (command, after[0].split()) == ("$ amun erase verify", head.split())
    assert {row.partition("  ")[0] for row in page.splitlines()[2:5]} <= rows.keys()
    assert re.fullmatch(
        r"everything was read, and nobody can read a copy of the people of 1 request, nor one of [2-9] files of erased "
        "weights",
        after[-1],
    )
    assert rows["DVC cache"] == f"{num_rows} of 1 request"
    # as the page shows one who can be read nowhere any more
    _, words, places = page.splitlines()[-1].split(": ")
    shown = next(line for line in after if f": {words}: " in line).split(": ")[2].split(", ")[:2]
    assert [re.sub(r"\d+", "0", place) for place in shown] == [re.sub(r"\d+", "0", one) for one in places.split(", ")]
    assert person not in "".join(after)
    refused = apart.start("amun", "erase", "verify", "--before", "--subject", person)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)

    planted = plant(apart, tmp_path, image)
    told = verify(apart, 1, "--subject", person)
    assert list_found(told, "readable").keys() == planted
    assert [place["problems"] for place in told["places"] if place["problems"]] == []


def plant(site: Site, tmp_path: Path, image: npt.NDArray[Any]) -> set[str]:
    """Puts copies of an image into every place there is, packed in as many ways; returns the places' names."""
    as_floats, as_bytes = image.tobytes(), np.round(image * 255).astype(np.uint8).tobytes()
    folders = {
        "work tree": site.root / "notes",
        ".amun": site.root / ".amun/selftest",
        "git's own files": site.root / ".git/old",
        "DVC cache": site.root / ".dvc/cache/files/md5/00",
        "DVC remote storage": tmp_path / "remote/files/md5/00",
        "MLflow's files of digits-cnn": site.root / ".amun/mlartifacts/digits-cnn/a",
        "Prefect's home": site.root / ".amun/prefect/storage",
        "DVC's site cache": site.root / ".amun/dvc/repo",
        "temporary files": tmp_path / "tmp/left",
    }
    packs = [pack for pack in PACKS if pack != "plain"]
    for number, folder in enumerate(folders.values()):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "copy").write_bytes(PACKS[packs[number % len(packs)]](b"..." + (as_floats, as_bytes)[number % 2]))
    # no commit reaches it
    subprocess.run(
        ["git", "hash-object", "-w", "--stdin"], cwd=site.root, input=gzip.compress(as_bytes), check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return {*folders, "git objects"}
