"""Stage `prepare` as a function: what it writes, and that it writes nothing where something is wrong."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from amun.core.errors import InputError
from amun.core.keys import parse_secret, subject_key
from amun.core.params import Params
from amun.core.paths import CALIBRATION, EXCLUSIONS, KEK, KEYS, PREPARE_METRICS, TEST, TRAIN
from amun.evidence.wave import write_json
from amun.stages.prepare import prepare
from amun.store.alike import digest_pictures
from amun.store.naming import name_by_person, name_by_secret
from amun.store.samples import read_samples
from amun.vault.database import KEYS_VARIABLE
from amun.vault.rotation import rotate_kek
from amun.vault.vault import open_vault
from tests.amun.pictures import RULES, paint, write_class_folder
from tests.amun.sealing import make_vault
from tests.amun.shipped import PARAMS

SECRET = "ab" * 32
STORES = (TRAIN, CALIBRATION, TEST)


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """The parameters of a workspace that is the current folder, with 40 people of whom each has a cat and a dog."""
    monkeypatch.chdir(tmp_path)
    make_vault(Path(), SECRET)
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


# of the 80 samples above, as every version dealt them: without twins nobody moves
DEALT = {TRAIN: "a7269b1d2731d8fd", CALIBRATION: "9a510982d424ce74", TEST: "5327b9442e056776"}


def test_splits_are_as_ever_where_nobody_shares_a_picture(params: Params) -> None:
    run(params, sealed=False)
    for path, digest in DEALT.items():
        ids = "".join(read_samples(path).sample_ids.tolist())
        assert hashlib.sha256(ids.encode()).hexdigest().startswith(digest)
    assert set(read_twins().values()) == {0}
    clear = [read_samples(path) for path in STORES]
    assert "samples_named_by" not in read_metrics()
    run(params)
    for sealed, before in zip(map(read_samples, STORES), clear, strict=True):
        assert torch.equal(sealed.payloads, before.payloads)
        assert sealed.subject_ids.tolist() == before.subject_ids.tolist()
        assert not set(sealed.sample_ids.tolist()) & set(before.sample_ids.tolist())
    assert '"samples_named_by": "person"' in PREPARE_METRICS.read_text(encoding="utf-8")


def test_ids_of_sealed_samples_are_made_by_their_peoples_keys(params: Params) -> None:
    run(params)
    digests = [path.read_bytes() for path in STORES]
    train, keys = read_samples(TRAIN), open_vault().provide_keys([f"person {person}" for person in range(40)])
    owner = str(train.subject_ids[0])
    number = int(owner.removeprefix("person ")) + (40 if train.labels[0] else 0)
    name = f"{'dog' if train.labels[0] else 'cat'}/{number % 40:02}.png"
    by_secret = name_by_secret(parse_secret(SECRET, ""), [name], np.asarray(paint(number)).transpose(2, 0, 1)[None])
    assert train.sample_ids[0] == name_by_person(keys[owner], str(by_secret[0]))
    rotate_kek(open_vault())
    run(params)
    assert [path.read_bytes() for path in STORES] == digests


def read_twins() -> dict[str, int]:
    twins: dict[str, int] = json.loads(PREPARE_METRICS.read_text(encoding="utf-8"))["twins"]
    return twins


def share(first: range, second: range, label: str = "cat") -> None:
    """Gives each of the second people the picture that the first one has."""
    for one, other in zip(first, second, strict=True):
        shutil.copy(f"raw/{label}/{one:02}.png", f"raw/{label}/{other:02}.png")


def test_people_who_share_a_picture_are_in_one_split_and_are_told(params: Params) -> None:
    share(range(20), range(20, 40))
    shutil.copy("raw/cat/00.png", "raw/dog/00.png")  # one picture as a cat and as a dog
    run(params)
    stores = [read_samples(path) for path in STORES]
    split_of = {owner: number for number, store in enumerate(stores) for owner in store.subject_ids.tolist()}
    assert [split_of[f"person {n}"] for n in range(20)] == [split_of[f"person {n}"] for n in range(20, 40)]
    assert read_twins() == {"num_samples": 41, "num_people": 40, "num_labels": 3, "num_apart": 0}
    assert [len(np.unique(store.sample_ids)) for store in stores] == [40, 20, 20]
    metrics = json.loads(PREPARE_METRICS.read_text(encoding="utf-8"))
    assert [metrics[f"num_{split}"] for split in ("train", "calibration", "test")] == [40, 20, 20]


def test_placeholder_that_everybody_has_joins_nobody_and_is_told(params: Params) -> None:
    for person in range(1, 40):
        shutil.copy("raw/cat/00.png", f"raw/cat/{person:02}.png")
    run(params)
    assert read_twins() == {"num_samples": 40, "num_people": 40, "num_labels": 0, "num_apart": 20}


@pytest.mark.parametrize(("was_sealed", "is_sealed"), [(True, True), (False, True), (True, False), (False, False)])
def test_twins_of_the_forgotten_are_left_out_of_a_new_base_and_counted(
    params: Params, was_sealed: bool, is_sealed: bool
) -> None:
    """However the base in which they were forgotten had named them, and the new one does."""
    share(range(5), range(20, 25))
    run(params, sealed=was_sealed)
    twins = {
        sample_id
        for store in map(read_samples, STORES)
        for sample_id, owner, label in zip(store.sample_ids.tolist(), store.subject_ids, store.labels, strict=True)
        if label == 0 and owner in {f"person {n}" for n in range(20, 25)}
    }
    assert len(twins) == 5
    forgotten = [subject_key(parse_secret(SECRET, ""), f"person {n}") for n in range(5)]
    write_json(EXCLUSIONS, [*forgotten, *twins])
    run(params, sealed=is_sealed)
    held = {sample_id for store in map(read_samples, STORES) for sample_id in store.sample_ids.tolist()}
    assert len(held) == 65
    cats = [store.subject_ids[(store.labels == 0).numpy()].tolist() for store in map(read_samples, STORES)]
    assert {owner for owners in cats for owner in owners} == {f"person {n}" for n in (*range(5, 20), *range(25, 40))}
    metrics = json.loads(PREPARE_METRICS.read_text(encoding="utf-8"))
    assert metrics["num_excluded"] == 15
    assert sum(metrics[f"num_{split}"] for split in ("train", "calibration", "test")) == 65
    assert set(metrics["twins"].values()) == {0}


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
    with pytest.raises(InputError, match="everybody in the source is forgotten or erased; nothing is left"):
        run(params)


def read_metrics() -> dict[str, int]:
    metrics: dict[str, int] = json.loads(PREPARE_METRICS.read_text(encoding="utf-8"))
    return metrics


def name_owners(**others: str) -> dict[str, str]:
    """Returns whose each picture of the source is; a few are called otherwise."""
    names = {person: others.get(f"person_{person}", f"person {person}") for person in range(40)}
    return {f"{label}/{person:02}.png": names[person] for label in ("cat", "dog") for person in range(40)}


@pytest.mark.parametrize("is_sealed", [True, False])
def test_erased_person_comes_back_under_no_name(params: Params, is_sealed: bool) -> None:
    write_owners(name_owners(person_7="Zo\u00eb"))
    run(params)
    samples = [read_samples(path, "Zo\u00eb") for path in STORES]
    pictures = [picture for part in samples for picture in digest_pictures(part.payloads.numpy())]
    assert len(pictures) == 2
    assert open_vault().destroy_keys(["Zo\u00eb"], pictures) == 1
    # the next load has her decomposed, her pictures as others' and twice under a new name, one of them encoded anew
    write_owners(
        name_owners(person_7="Zoe\u0308", person_8="ZOE", person_9="zo\u00eb")
        | {"cat/40.png": "person 40", "cat/41.jpg": "person 41", "dog/40.png": "person 40"}
    )
    shutil.copy("raw/cat/07.png", "raw/cat/11.png")
    shutil.copy("raw/dog/07.png", "raw/cat/40.png")
    paint(100).save("raw/dog/40.png")
    with Image.open("raw/cat/07.png") as image:
        image.save("raw/cat/41.jpg", quality=90)
    run(params, sealed=is_sealed)
    stores = [read_samples(path) for path in STORES]
    held = [person for store in stores for person in store.subject_ids.tolist()]
    assert len(held) == 83 - 4
    assert not {"Zo\u00eb", "Zoe\u0308"} & set(held)
    assert {name: held.count(name) for name in ("ZOE", "person 11", "person 40", "person 41")} == {
        "ZOE": 2,
        "person 11": 1,
        "person 40": 1,
        "person 41": 1,
    }
    assert not set(pictures) & {one for store in stores for one in digest_pictures(store.payloads.numpy())}
    metrics = read_metrics()
    assert (metrics["num_suppressed"], metrics["num_suppressed_pictures"], metrics["num_near"]) == (4, 2, 2)
    assert metrics["num_excluded"] == 0
    assert sum(metrics[f"num_{split}"] for split in ("train", "calibration", "test")) == len(held)
    # whom this workspace has forgotten is told as that, and what was forgotten with her
    secret, pixels = parse_secret(SECRET, ""), np.asarray(paint(7)).transpose(2, 0, 1)[None]
    (twin,) = name_by_secret(secret, ["cat/11.png"], pixels).tolist()
    write_json(EXCLUSIONS, [subject_key(secret, "Zo\u00eb"), twin])
    run(params, sealed=is_sealed)
    metrics = read_metrics()
    assert (metrics["num_excluded"], metrics["num_suppressed"], metrics["num_suppressed_pictures"]) == (3, 1, 1)


def test_base_without_anybody_erased_says_nothing_of_a_list(params: Params) -> None:
    run(params)
    assert not [name for name in read_metrics() if "suppressed" in name or "near" in name]


def test_files_of_erased_people_need_not_be_there_and_those_of_others_must(params: Params) -> None:
    listed = [f"{label}/{person:02}.png" for label in ("cat", "dog") for person in range(25)]
    Path("trained.txt").write_text("\n".join(listed), encoding="utf-8")
    run(params, train_list="trained.txt")
    for label in ("cat", "dog"):
        Path(f"raw/{label}/07.png").unlink()
    with pytest.raises(InputError, match=r"2 problems in the source: subjects.csv line 9: cat/07.png is missing; "):
        run(params, train_list="trained.txt")
    open_vault().destroy_keys(["person 7"])
    run(params, train_list="trained.txt")
    assert sum(len(read_samples(path)) for path in STORES) == 78
    Path("raw/cat/08.png").unlink()
    with pytest.raises(InputError, match=r"1 problem in the source: subjects.csv line 10: cat/08.png is missing$"):
        run(params, train_list="trained.txt")


def test_where_the_list_is_lost_nothing_is_taken_in(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(KEYS).rename("elsewhere")
    with pytest.raises(InputError, match="no key store of it here"):
        run(params, sealed=False)
    Path("elsewhere").rename(KEYS)
    kek = Path(KEK).rename("kek-elsewhere")
    with pytest.raises(InputError, match="AMUN_KEK"):
        run(params, sealed=False)
    Path(KEYS).unlink()
    monkeypatch.setenv(KEYS_VARIABLE, f"sqlite:///{Path('share/keys').absolute()}")
    with pytest.raises(InputError, match=r"no key store at sqlite:///.*share/keys: bring it"):
        run(params, sealed=False)
    assert sorted(Path("data").iterdir()) == [EXCLUSIONS]
    assert kek.exists()


def test_workspace_that_never_had_a_key_store_needs_none(params: Params) -> None:
    Path(KEYS).unlink()
    Path(KEK).unlink()
    run(params, sealed=False)
    assert not Path(KEYS).exists()


def test_pictures_that_leave_too_little_are_refused(params: Params) -> None:
    run(params)
    pictures = digest_pictures(read_samples(TEST).payloads.numpy())
    open_vault().destroy_keys([], pictures)
    with pytest.raises(InputError, match="nobody is in the split test"):
        run(params)
    open_vault().suppress_people([f"person {person}" for person in range(40)])
    with pytest.raises(InputError, match="everybody in the source is forgotten or erased; nothing is left"):
        run(params)
