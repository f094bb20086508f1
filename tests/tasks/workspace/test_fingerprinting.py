"""Fingerprints are of all that is held of a person, by whatever spelling, and of nothing that others have, too."""

import io
import shutil
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import ExifTags, Image

from amun.core.paths import ADVERSARIAL, AUDIT_LOGITS, CALIBRATION, TEST, TRAIN
from amun.scan.content import scan_bytes
from amun.scan.fingerprint import ANSWER, FILE, IMAGE, NEAR_COPY, SEALED, Fingerprint
from amun.scan.hashing import WindowHash
from amun.scan.matcher import Matcher
from amun.store import encoded
from amun.store.rows import RowReader
from amun.store.samples import Samples, write_samples
from amun.vault import fingerprints
from amun.vault.fingerprints import fingerprint_key
from amun.vault.seal import Seal
from amun.vault.vault import Vault
from tasks.workspace import fingerprinting
from tasks.workspace.fingerprinting import keep_fingerprints, read_fingerprints, take_fingerprints
from tasks.workspace.workspace import Workspace
from tests.amun.ledger.helpers import NOW
from tests.amun.pictures import write_encoded
from tests.amun.sealing import make_vault
from tests.amun.shipped import PARAMS

PEOPLE = ["ann", "ben", "Zoe\u0308"]
IMAGES = torch.randint(0, 256, (6, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    """The vault of the current folder, in which each of three people has two images, sealed."""
    monkeypatch.chdir(tmp_path)
    vault = make_vault(Path())
    write(TRAIN, IMAGES, vault)
    return vault


def write(path: Path, payloads: torch.Tensor, vault: Vault | None, people: list[str] | None = None) -> None:
    owners = np.array(people or [PEOPLE[row // 2] for row in range(len(payloads))])
    ids = np.array([f"{path.stem[:1]}{row:031x}" for row in range(len(payloads))])
    samples = Samples(ids, owners, torch.zeros(len(payloads), dtype=torch.int64), payloads)
    write_samples(path, samples, None if vault is None else Seal(vault, "a context"))


def take(vault: Vault, *people: str, workspace: Workspace | None = None) -> dict[str, Fingerprint]:
    return take_fingerprints(workspace or Workspace(Path(), PARAMS), vault, people, {})


def find(vault: Vault, fingerprint: Fingerprint, content: bytes) -> list[int]:
    """Returns the kinds of what a content has of a fingerprint."""
    matcher = Matcher(WindowHash.derive(fingerprint_key(vault)), [fingerprint])
    return sorted(matcher.kinds[list(scan_bytes(matcher, content).items)].tolist())


def test_every_kind_of_payload_is_taken(vault: Vault) -> None:
    floats = IMAGES.float() / 255
    answers = torch.randn((6, 4, 10), generator=torch.Generator().manual_seed(1))
    write(ADVERSARIAL, (floats + 0.01).clamp(0, 1), vault)
    write(AUDIT_LOGITS, answers, vault)
    taken = take(vault, "ann", "Zo\u00eb")
    for person in ("ann", "Zo\u00eb"):
        assert np.bincount(taken[person].kinds).tolist() == [2, 2, 2, 0, 6]
    assert find(vault, taken["ann"], IMAGES[0].numpy().tobytes() + IMAGES[2].numpy().tobytes()) == [IMAGE]
    assert find(vault, taken["Zo\u00eb"], floats[4:].half().numpy().tobytes()) == [IMAGE, IMAGE]
    assert find(vault, taken["ann"], (floats[1] + 0.01).clamp(0, 1).numpy().tobytes()) == [NEAR_COPY]
    assert find(vault, taken["ann"], answers[1].numpy().tobytes()) == [ANSWER]
    # rows as they lie in the files
    assert find(vault, taken["ann"], TRAIN.read_bytes()) == [SEALED, SEALED]
    with RowReader(TRAIN) as reader:
        rows = list(reader.read_sealed(np.arange(6) >= 4))
    assert find(vault, taken["Zo\u00eb"], b"x" + rows[1]) == [SEALED]
    assert find(vault, taken["ann"], rows[0]) == []


def test_sealed_rows_are_taken_of_whoever_has_no_key_any_more(vault: Vault) -> None:
    vault.destroy_keys(["ann"])
    taken = take(vault, "ann")["ann"]
    # nobody can look for what is in them, unless somebody has seen them before
    assert (taken.kinds.tolist(), taken.num_unread.tolist()) == ([SEALED, SEALED], [1])
    known = take_fingerprints(Workspace(Path(), PARAMS), vault, ["ann"], {}, known=["ann"])["ann"]
    assert (known.kinds.tolist(), known.num_unread.tolist()) == ([SEALED, SEALED], [0])
    assert find(vault, taken, TRAIN.read_bytes()) == [SEALED, SEALED]


def test_what_somebody_else_has_too_is_left_out_in_every_form(vault: Vault) -> None:
    images = IMAGES.clone()
    images[2] = images[0]
    images[3, :, :8] = images[1, :, :8]
    write(TRAIN, images, vault)
    alone = take(vault, "ann")["ann"]
    assert (alone.num_blank, (alone.kinds == IMAGE).sum()) == (1, 2)
    for form in (images[0], images[0].float() / 255, images[0].permute(1, 2, 0)):
        assert find(vault, alone, form.contiguous().numpy().tobytes()) == []
    assert find(vault, alone, images[1].numpy().tobytes()) == [IMAGE]
    assert find(vault, alone, images[3].numpy().tobytes()) == []
    # whoever goes with them keeps nothing of it
    both = take(vault, "ann", "ben")
    assert [one.num_blank for one in both.values()] == [0, 0]
    assert find(vault, both["ben"], images[0].numpy().tobytes()) == [IMAGE]


def test_files_of_the_source_are_taken_from_where_the_picture_begins(vault: Vault, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    (folder / "a").mkdir(parents=True)
    photos = [IMAGES[row].permute(1, 2, 0).repeat(4, 4, 1).numpy() for row in range(4)]
    names = ["a/ann.jpg", "a/ann.png", "a/ben.jpg", "a/torn.png"]
    for name, photo in zip(names, photos, strict=True):
        Image.fromarray(photo).save(folder / name, exif=Image.Exif() if name.endswith("jpg") else None)
    (folder / "a/torn.png").write_bytes(b"no picture")
    lines = [
        "path,subject",
        *(f"{name},{person}" for name, person in zip(names, ["ann", "ann", "ben", "Zo\u00eb"], strict=True)),
    ]
    (folder / "subjects.csv").write_text("\n".join(lines), encoding="utf-8")
    data = PARAMS.data.model_copy(update={"source": "folder", "root": "photos"})
    workspace = Workspace(tmp_path, PARAMS.model_copy(update={"data": data}))
    taken = take(vault, "ann", "Zo\u00eb", workspace=workspace)
    assert (taken["ann"].kinds == FILE).sum() == 2
    assert taken["Zo\u00eb"].num_unread.tolist() == [1]
    for name in names[:2]:
        assert find(vault, taken["ann"], (folder / name).read_bytes()) == [FILE]
    assert find(vault, taken["ann"], (folder / names[2]).read_bytes()) == []
    shutil.rmtree(folder)
    assert (take(vault, "ann", workspace=workspace)["ann"].kinds == FILE).sum() == 0


def encode_photo(row: int, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(IMAGES[row].permute(1, 2, 0).repeat(4, 4, 1).numpy()).save(file, "JPEG", **options)
    return file.getvalue()


def test_files_that_the_store_keeps_are_taken_as_files_and_as_pixels(vault: Vault) -> None:
    note = Image.Exif()
    note[ExifTags.Base.ImageDescription] = "a head like no other"
    photos = [encode_photo(row) for row in range(4)]
    files = [photos[0], photos[1], encode_photo(1, exif=note), *photos[2:], photos[3]]
    write_encoded(TRAIN, files, PEOPLE, vault)
    stored = TRAIN.read_bytes()
    taken = take(vault, "ann")["ann"]
    assert np.bincount(taken.kinds, minlength=5)[[IMAGE, FILE, SEALED]].tolist() == [2, 2, 2]
    pixels = np.asarray(Image.open(io.BytesIO(photos[0]))).tobytes()
    assert find(vault, taken, photos[0]) == [FILE]
    assert find(vault, taken, pixels) == [IMAGE]
    # of a picture that somebody else has, too, neither the file nor its pixels are looked for
    assert find(vault, taken, photos[1]) == find(vault, taken, files[2]) == []
    assert find(vault, taken, photos[2]) == []
    # what is sealed has no readable copy; in clear it has
    assert find(vault, taken, stored) == [SEALED, SEALED]
    vault.destroy_keys(["ann"])
    assert find(vault, taken, TRAIN.read_bytes()) == [SEALED, SEALED]
    assert take(vault, "ann")["ann"].kinds.tolist() == [SEALED, SEALED]
    write_encoded(TRAIN, files, PEOPLE, None)
    files_of_table = pq.read_table(TRAIN).column("payload").to_pylist()
    assert find(vault, taken, files_of_table[0]) == [FILE]


def test_files_that_another_decoder_refuses_are_taken_all_the_same(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = [encode_photo(row) for row in range(4)]
    write_encoded(TRAIN, photos, PEOPLE, vault)

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise ValueError("another release")

    monkeypatch.setattr(encoded, "read_image", refuse)
    taken = take(vault, "ann")["ann"]
    assert find(vault, taken, photos[0]) == find(vault, taken, photos[1]) == [FILE]
    assert int(taken.num_unread[0]) == 2, "their pixels are not looked for, which is told"


def test_damaged_sample_costs_nobody_another_one_and_is_counted(vault: Vault) -> None:
    content = TRAIN.read_bytes()
    with RowReader(TRAIN) as reader:
        row = next(reader.read_sealed(np.arange(6) == 1))
    TRAIN.write_bytes(content.replace(row, row[:-1] + bytes([row[-1] ^ 1])))
    taken = take(vault, "ann", "ben")
    assert [(one.kinds == IMAGE).sum() for one in taken.values()] == [1, 2]
    assert [int(one.num_unread[0]) for one in taken.values()] == [1, 0]
    TRAIN.write_bytes(content[:-30])
    assert [int(one.num_unread[0]) for one in take(vault, "ann", "ben").values()] == [1, 1]


def test_taken_again_nothing_is_lost_and_what_is_new_is_added(vault: Vault) -> None:
    workspace = Workspace(Path(), PARAMS)
    write(TEST, IMAGES[:1], None, ["ann"])
    keep_fingerprints(workspace, vault, ["ann"], {}, NOW)
    vault.destroy_keys(["ann"])
    TEST.unlink()
    another = IMAGES[5:].flip(3)
    write(CALIBRATION, another, None, ["ann"])
    for _ in range(2):
        keep_fingerprints(workspace, vault, ["ann"], {}, NOW)
        kept = read_fingerprints(vault, ["ann"])["ann"]
        assert sorted(kept.kinds.tolist()) == [IMAGE] * 3 + [SEALED] * 2
        copies = torch.cat([IMAGES[:2], another]).numpy().tobytes()
        assert find(vault, kept, copies) == [IMAGE] * 3
    assert read_fingerprints(vault, ["ben"]) == {}


def test_what_is_kept_does_not_tell_the_order_of_the_rows(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else whoever knows a picture learns by its place in the fingerprint which sealed row, and so which id, it had."""
    workspace, kept = Workspace(Path(), PARAMS), list[bytes]()
    monkeypatch.setattr(fingerprints, "keep_fingerprint", lambda *given: kept.append(given[2]))
    ids = np.array([f"{row:032x}" for row in range(6)])
    for order in ([0, 1, 2, 3, 4, 5], [3, 5, 0, 2, 4, 1], [5, 4, 3, 2, 1, 0]):
        labels = torch.zeros(6, dtype=torch.int64)
        for path, payloads in ((TRAIN, IMAGES), (ADVERSARIAL, IMAGES.flip(2).float() / 255)):
            samples = Samples(ids[order], np.array(["ann"] * 6), labels, payloads[order])
            write_samples(path, samples, Seal(vault, "a context"))
        keep_fingerprints(workspace, vault, ["ann"], {}, NOW)
    assert kept[0] == kept[1] == kept[2]
    once = Fingerprint.load(kept[0])
    assert np.bincount(once.kinds).tolist() == [6, 6, 0, 0, 12]
    # nor where a later call adds to what one before has kept
    kept.clear()
    write(TEST, IMAGES[:2].flip(3), None, ["ann", "ann"])
    for former in (once, Fingerprint.load(once.dump()), take(vault, "ann")["ann"]):
        monkeypatch.setattr(fingerprinting, "read_fingerprints", lambda *_, one=former: {"ann": one})
        keep_fingerprints(workspace, vault, ["ann"], {}, NOW)
    assert kept[0] == kept[1] == kept[2]
    assert Fingerprint.load(kept[0]).dump() == kept[0] != once.dump()
