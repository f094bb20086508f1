"""Stage `prepare` as a function: what it writes, and that it writes nothing where something is wrong."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from amun.core.errors import InputError
from amun.core.keys import parse_secret, store_secret, subject_key
from amun.core.params import Params
from amun.core.paths import CALIBRATION, EXCLUSIONS, PREPARE_METRICS, TEST, TRAIN
from amun.evidence.wave import write_json
from amun.stages.prepare import prepare
from amun.store.samples import read_samples
from tests.amun.pictures import RULES, paint, write_class_folder
from tests.amun.shipped import PARAMS

SECRET = "ab" * 32
STORES = (TRAIN, CALIBRATION, TEST)


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """The parameters of a workspace that is the current folder, with 40 people of whom each has a cat and a dog."""
    monkeypatch.chdir(tmp_path)
    store_secret(Path(), SECRET)
    write_json(EXCLUSIONS, [])
    owners = {f"{label}/{person:02}.png": f"person {person}" for label in ("cat", "dog") for person in range(40)}
    write_class_folder(Path("raw"), owners)
    data = PARAMS.data.model_copy(update={"source": "folder", "root": "raw", "images": RULES})
    return PARAMS.model_copy(update={"data": data})


def run(params: Params, **changes: object) -> None:
    data = params.data.model_copy(update=changes)
    prepare(params.model_copy(update={"data": data}), torch.device("cpu"))


def test_store_holds_every_image_of_every_person(params: Params) -> None:
    run(params)
    stores = [read_samples(path) for path in STORES]
    people = [set(store.subject_ids.tolist()) for store in stores]
    assert sum(map(len, people)) == len(set.union(*people)) == 40
    assert sum(map(len, stores)) == 80
    assert all(store.payloads.dtype == torch.uint8 for store in stores)
    assert json.loads(PREPARE_METRICS.read_text(encoding="utf-8"))["classes"] == ["cat", "dog"]
    train = stores[0]
    position = int(np.flatnonzero((train.labels == 1).numpy())[0])
    person = int(str(train.subject_ids[position]).removeprefix("person "))
    # pictures were painted in the order of the paths: the dogs after forty cats
    assert np.array_equal(train.payloads[position], np.asarray(paint(40 + person)).transpose(2, 0, 1))


def test_listed_images_are_the_training_samples(params: Params) -> None:
    listed = [f"{label}/{person:02}.png" for label in ("cat", "dog") for person in range(25)]
    Path("trained.txt").write_text("\n".join([*listed, "cat/39.png"]), encoding="utf-8")
    run(params, train_list="trained.txt")
    train, *held_out = (read_samples(path) for path in STORES)
    assert sorted(set(train.subject_ids.tolist())) == sorted(f"person {person}" for person in [*range(25), 39])
    assert len(train) == 51
    # of person 39 one picture was trained on, and the other one was not
    assert sum(len(half) for half in held_out) == 29
    assert not set(held_out[0].subject_ids.tolist()) & set(held_out[1].subject_ids.tolist())


def test_invented_people_are_trained_on_with_all_samples_or_none(params: Params) -> None:
    keys = [f"digits/{position}" for position in range(0, 1797, 2)]
    Path("trained.txt").write_text("\n".join(keys), encoding="utf-8")
    run(params, source="digits", root=None, images=PARAMS.data.images, train_list="trained.txt")
    train, *held_out = (read_samples(path) for path in STORES)
    assert len(train) == len(keys)
    assert not set(train.subject_ids.tolist()) & {subject for half in held_out for subject in half.subject_ids.tolist()}


def test_forgotten_people_are_left_out_and_counted(params: Params) -> None:
    forgotten = [f"person {person}" for person in (3, 5, 39)]
    write_json(EXCLUSIONS, [subject_key(parse_secret(SECRET, ""), person) for person in forgotten])
    run(params)
    held = {person for path in STORES for person in read_samples(path).subject_ids.tolist()}
    assert len(held) == 37
    assert not held & set(forgotten)
    assert json.loads(PREPARE_METRICS.read_text(encoding="utf-8"))["num_excluded"] == 6


def test_forgotten_person_is_left_out_however_the_source_composes_the_name(params: Params) -> None:
    composed, decomposed = "Zo\u00eb", "Zoe\u0308"
    for forgotten, delivered in ((composed, decomposed), (decomposed, composed)):
        paths = [(label, person) for label in ("cat", "dog") for person in range(40)]
        names = {person: delivered if person == 7 else f"person {person}" for person in range(40)}
        write_owners({f"{label}/{person:02}.png": names[person] for label, person in paths})
        write_json(EXCLUSIONS, [subject_key(parse_secret(SECRET, ""), forgotten)])
        run(params)
        held = {person for path in STORES for person in read_samples(path).subject_ids.tolist()}
        assert (len(held), delivered in held) == (39, False)


def test_damaged_images_are_all_named_and_nothing_is_written(params: Params) -> None:
    for name in ("cat/01.png", "dog/17.png"):
        path = Path("raw") / name
        path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"2 problems in the source: cat/01.png cannot be read.*; dog/17.png"):
        run(params)
    assert sorted(Path("data").iterdir()) == [EXCLUSIONS]


def test_class_that_is_a_person_is_not_named(params: Params) -> None:
    write_class_folder(Path("faces"), {f"{who}/{n}.png": f"{who}" for who in ("anna", "ben") for n in range(3)})
    lines = [f"anna/{n}.png,{who}\n" for n, who in enumerate(("anna", "carl", "dora"))]
    lines += [f"ben/{n}.png,{who}\n" for n, who in enumerate(("anna", "carl", "dora"))]
    (Path("faces") / "subjects.csv").write_text("path,subject\n" + "".join(lines), encoding="utf-8")
    run(params, root="faces", train_fraction=0.34, calibration_fraction=0.33)
    classes = json.loads(PREPARE_METRICS.read_text(encoding="utf-8"))["classes"]
    assert classes == [subject_key(parse_secret(SECRET, ""), "anna"), "ben"]


def write_owners(owners: dict[str, str]) -> None:
    lines = [f"{path},{subject}\n" for path, subject in owners.items()]
    (Path("raw") / "subjects.csv").write_text("path,subject\n" + "".join(lines), encoding="utf-8")


@pytest.mark.parametrize(
    ("owner_of", "words"),
    [
        (lambda _label, _person: "one", "nobody is in the split calibration and test: .* of 1 subject holds 80 of 80"),
        (lambda label, _person: label, "nobody is in the split"),
    ],
)
def test_subjects_too_few_or_too_large_are_refused(owner_of: object, words: str, params: Params) -> None:
    assert callable(owner_of)
    paths = [(label, person) for label in ("cat", "dog") for person in range(40)]
    write_owners({f"{label}/{person:02}.png": owner_of(label, person) for label, person in paths})
    with pytest.raises(InputError, match=words):
        run(params, train_fraction=0.3, calibration_fraction=0.5)
    assert sorted(Path("data").iterdir()) == [EXCLUSIONS]


def test_everybody_forgotten_is_refused(params: Params) -> None:
    secret = parse_secret(SECRET, "")
    write_json(EXCLUSIONS, [subject_key(secret, f"person {person}") for person in range(40)])
    with pytest.raises(InputError, match="everybody in the source is forgotten"):
        run(params)
