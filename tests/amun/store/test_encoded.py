"""Images kept as their files are the same samples as images kept as pixels, and tell no more of anybody."""

import csv
import io
import json
import os
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import ExifTags, Image

from amun.core.errors import AmunError, DamagedError, InputError
from amun.core.keys import load_secret
from amun.core.memory import GIB
from amun.core.params import Params
from amun.core.paths import CALIBRATION, EXCLUSIONS, PREPARE_METRICS, TEST, TRAIN
from amun.evidence.wave import write_json
from amun.stages.prepare import prepare
from amun.store import encoded
from amun.store import samples as store
from amun.store.alike import KEPT_FORMATS, Pixels, digest_pictures, read_image, read_with_file
from amun.store.encoded import EncodedForm, pad_length
from amun.store.naming import name_by_secret
from amun.store.opening import SampleOpener
from amun.store.pages import locate_contents
from amun.store.rows import RowReader
from amun.store.samples import Samples, SampleWriter, StoredSamples, read_pictures, read_samples
from amun.vault.seal import Seal, open_seal
from tests.amun.pictures import RULES
from tests.amun.sealing import destroy_keys, make_vault
from tests.amun.shipped import PARAMS

CPU = torch.device("cpu")
STORES = (TRAIN, CALIBRATION, TEST)
SIZE = (24, 20)
LABEL_AND_TAG, HEAD = 24, 25


def draw(seed: int, height: int = 40, width: int = 30) -> Image.Image:
    """Returns a picture that compresses as photographs do."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encode(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def make_clear(image: Image.Image) -> Image.Image:
    """Returns a picture that one can see through at the left."""
    image.putalpha(Image.linear_gradient("L").rotate(90).resize(image.size))
    return image


def make_files() -> dict[str, bytes]:
    """Returns image files of every kind that a source may have, by their names."""
    turned, noise = Image.Exif(), np.random.default_rng(9).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    turned[ExifTags.Base.Orientation] = 6
    files = {
        "turned.jpg": encode(draw(1), exif=turned),
        "progressive.jpg": encode(draw(2), progressive=True),
        "cmyk.jpg": encode(draw(3).convert("CMYK")),
        "grey.jpg": encode(draw(4).convert("L")),
        "fine.jpg": encode(draw(5), quality=95, subsampling=0),
        "palette.png": encode(draw(6).quantize(16), "PNG"),
        "clear.webp": encode(make_clear(draw(7)), "WEBP"),
        "bitmap.bmp": encode(draw(8), "BMP"),
        "noise.png": encode(Image.fromarray(noise), "PNG"),
    }
    return files | {f"more{number}.jpg": encode(draw(20 + number)) for number in range(31)}


@pytest.fixture(scope="module", autouse=True)
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A workspace, the current folder, of a source with images of every kind, two to a person."""
    folder = tmp_path_factory.mktemp("workspace")
    with chdir(folder):
        make_vault(Path())
        write_json(EXCLUSIONS, [])
        Path("raw").mkdir()
        with Path("raw/labels.csv").open("w", encoding="utf-8", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["path", "label", "subject"])
            for number, (name, content) in enumerate(make_files().items()):
                (Path("raw") / name).write_bytes(content)
                lines.writerow([name, number % 2, f"person {number // 2}"])
        yield folder


def fill(**changes: object) -> Params:
    """Fills the store as changed parameters of the data say, and returns these."""
    rules = RULES.model_copy(update={"size": SIZE, "resize": "crop"})
    update = {"source": "folder", "root": "raw", "images": rules} | changes
    params = PARAMS.model_copy(update={"data": PARAMS.data.model_copy(update=update)})
    prepare(params, CPU)
    return params


def open_with(room: float, path: Path = TRAIN) -> StoredSamples:
    return SampleOpener(PARAMS.runtime.model_copy(update={"memory_gib": room / GIB}), CPU).open(path)


def read_stored(path: Path) -> list[bytes]:
    stored: list[bytes] = pq.read_table(path).column("payload").to_pylist()
    return stored


def read_kept(path: Path) -> dict[str, bytes | None]:
    """Returns the image file that each sample of a store file has kept, by id, in their order."""
    with RowReader(path) as reader:
        groups = list(reader.read_files(np.ones(len(reader), np.bool_)))
    return {sample_id: file for ids, files in groups for sample_id, file in zip(ids.tolist(), files, strict=True)}


@pytest.mark.parametrize("is_sealed", [True, False])
def test_samples_are_the_same_in_either_form(*, is_sealed: bool) -> None:
    fill(stored_as="pixels", sealed=is_sealed)
    expected, figures = [read_samples(path) for path in STORES], PREPARE_METRICS.read_bytes()
    num_bytes = sum(path.stat().st_size for path in STORES)
    fill(stored_as="encoded", sealed=is_sealed)
    assert PREPARE_METRICS.read_bytes() == figures
    assert sum(path.stat().st_size for path in STORES) < num_bytes
    for path, samples in zip(STORES, expected, strict=True):
        for found in (read_samples(path), store.concatenate(list(store.read_in_groups(path)))):
            assert found.sample_ids.tolist() == samples.sample_ids.tolist()
            assert found.subject_ids.tolist() == samples.subject_ids.tolist()
            assert torch.equal(found.labels, samples.labels)
            assert torch.equal(found.payloads, samples.payloads)
        for room in (GIB, 0) if is_sealed else (GIB,):
            opened = open_with(room, path)
            assert opened.images.is_sealed == (room == 0)
            assert opened.images.shape == (len(samples), 3, *SIZE)
            assert torch.equal(opened.labels, samples.labels)
            assert opened.subject_ids.tolist() == samples.subject_ids.tolist()
            backwards = torch.arange(len(samples)).flip(0)
            assert torch.equal(opened.images.batch(backwards), samples.images.flip(0))
            assert torch.equal(torch.cat(list(opened.images.stream_all(3))), samples.images)
            assert opened.images.digest_all(7) == digest_pictures(samples.payloads.numpy())
        rows = zip(samples.sample_ids, samples.subject_ids, digest_pictures(samples.payloads.numpy()), strict=True)
        assert list(read_pictures(path)) == list(rows)
    if not is_sealed:
        with pytest.raises(InputError, match=r"images in clear .* are not opened batch by batch"):
            open_with(0)


def test_files_are_kept_as_they_came_in_where_they_are_smaller() -> None:
    fill(stored_as="encoded", twins="keep")
    kept: list[bytes | None] = []
    for path in STORES:
        kept += read_kept(path).values()
    files = make_files()
    as_pixels = {"bitmap.bmp", "noise.png"}
    assert {name for name in files if files[name] not in kept} == as_pixels
    assert kept.count(None) == len(as_pixels)
    assert len(files["noise.png"]) > 3 * SIZE[0] * SIZE[1] > max(map(len, filter(None, kept)))
    assert {Image.open(io.BytesIO(file)).format for file in filter(None, kept)} <= set(KEPT_FORMATS)


def test_nobody_gets_the_file_of_whoever_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    files, first = list(make_files().values()), "bitmap.bmp"
    # the first that is read, by its name: a slip would give everybody another one's file
    assert first == min(make_files())
    pixels = read_rules(Image.open(io.BytesIO(make_files()[first])))[None]
    write_json(EXCLUSIONS, name_by_secret(load_secret(Path()), [first], pixels).tolist())
    try:
        fill(stored_as="pixels", twins="keep")
        expected = [read_samples(path) for path in STORES]
        capsys.readouterr()
        fill(stored_as="encoded", twins="keep")
        said = capsys.readouterr().out
        assert f"kept as the files that they came in: {len(files) - 2} of {len(files) - 1} images" in said
        for path, samples in zip(STORES, expected, strict=True):
            with RowReader(path) as reader:
                found = reader.read(np.ones(len(reader), np.bool_))
            kept = read_kept(path)
            assert found.sample_ids.tolist() == samples.sample_ids.tolist() == list(kept)
            assert np.array_equal(found.payloads, samples.payloads.numpy())
            for person, file in zip(found.subject_ids.tolist(), kept.values(), strict=True):
                own = int(person.split()[1]) * 2
                assert file is None or file in files[own : own + 2]
    finally:
        write_json(EXCLUSIONS, [])


def test_a_decoder_that_comes_to_other_pixels_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    fill(stored_as="encoded")

    def read_otherwise(*arguments: Any, **options: Any) -> Pixels:
        pixels = read_image(*arguments, **options)
        pixels[0, 0, 0] ^= 1
        return pixels

    monkeypatch.setattr(encoded, "read_image", read_otherwise)
    line = r"^sample \w{32}: .* cannot be decoded as it was \(it comes to other pixels\): install the packages of"
    for room in (GIB, 0):
        with pytest.raises(DamagedError, match=line):
            open_with(room).images.read_all()


def test_rules_of_a_footer_from_now_are_read_whatever_rules_come_later() -> None:
    footer = '{"colour": "rgb", "resize": "crop", "size": [24, 20], "transparent": "white", "version": 1}'
    form = EncodedForm.parse(footer, np.dtype(np.uint8), (3, *SIZE), "a file")
    assert form.describe() == footer
    (pixels,) = form.decode(["a"], [form.pack(read_rules(draw(7)), encode(draw(7), "PNG"))])
    assert np.array_equal(pixels, read_rules(draw(7)))


def test_file_of_a_later_release_is_not_called_damaged() -> None:
    fill(stored_as="encoded", sealed=False)
    content = TRAIN.read_bytes()
    TRAIN.write_bytes(content.replace(b'"version": 1}', b'"version": 2}'))
    with pytest.raises(
        AmunError, match=r"train\.parquet: its images are kept in the form of a later release"
    ) as raised:
        read_samples(TRAIN)
    assert not isinstance(raised.value, DamagedError), "bringing it back would not help"


@pytest.mark.parametrize("row", [b"", b"\0" * 30, None])
def test_damaged_row_in_clear_is_told(row: Any) -> None:
    rules = RULES.model_copy(update={"resize": "crop", "size": SIZE})
    form = EncodedForm.choose(rules, np.zeros((1, 3, *SIZE), np.uint8))
    with pytest.raises(DamagedError, match=r"^sample a: its row is not what was written"):
        form.decode(["a"], [row])


def read_rules(image: Image.Image) -> Pixels:
    return read_image(image.copy, rules=RULES.model_copy(update={"resize": "crop", "size": SIZE}), size=SIZE)


@pytest.mark.parametrize(("height", "is_kept"), [(48, True), (49, False)])
def test_a_small_file_of_a_huge_image_is_not_kept(height: int, *, is_kept: bool) -> None:
    blank = io.BytesIO(encode(Image.new("RGB", (40, height)), "PNG"))
    rules = RULES.model_copy(update={"resize": "crop", "size": SIZE})
    _, file = read_with_file(lambda: Image.open(blank), rules=rules, size=SIZE)
    assert (file is not None) == is_kept


def test_torn_file_is_refused_before_anything_is_written() -> None:
    fill(stored_as="encoded")
    before = [path.read_bytes() for path in STORES]
    torn = Path("raw/more3.jpg")
    whole = torn.read_bytes()
    torn.write_bytes(whole[: len(whole) // 2])
    try:
        with pytest.raises(
            InputError, match=r"1 problem in the source: more3\.jpg cannot be read: Truncated File Read"
        ):
            fill(stored_as="encoded")
    finally:
        torn.write_bytes(whole)
    assert [path.read_bytes() for path in STORES] == before
    assert not list(TRAIN.parent.glob("*.unfinished"))


def test_sealed_file_shows_no_picture_and_hardly_its_length() -> None:
    fill(stored_as="encoded")
    files = make_files()
    for path in STORES:
        content = path.read_bytes()
        assert not [name for name, file in files.items() if file[-64:] in content or file[200:232] in content]
        lengths = {len(row) - LABEL_AND_TAG for row in read_stored(path)}
        longest = HEAD + 3 * SIZE[0] * SIZE[1]
        assert {length for length in lengths if length != pad_length(length)} <= {longest}
        assert max(lengths) <= longest
        groups = [pq.read_metadata(path).row_group(number) for number in range(pq.read_metadata(path).num_row_groups)]
        assert not [group for group in groups if group.column(2).is_stats_set]
        assert json.loads(pq.read_metadata(path).metadata[b"encoded"])["size"] == list(SIZE)
    assert len({len(file) for file in files.values()}) > 2 * len({len(row) for row in read_stored(TRAIN)})


def test_rows_are_filled_up_to_powers_of_two() -> None:
    assert [pad_length(length) for length in (1, 2, 3, 8, 9, 65535, 65536, 65537)] == [
        *(1, 2, 4, 8, 16, 65536, 65536, 131072)
    ]


def write_many(count: int, sizes: tuple[int, int], path: Path, seal: Seal | None) -> Samples:
    """Writes samples that are kept as files, of so many bytes at least and at most, and returns them."""
    random = np.random.default_rng(0)
    pixels = torch.from_numpy(random.integers(0, 256, (count, 3, 4, 4), dtype=np.uint8))
    ids = np.array([f"{number:032x}" for number in range(count)], dtype=np.str_)
    people = np.array([f"person {number // 3}" for number in range(count)], dtype=np.str_)
    samples = Samples(ids, people, torch.arange(count) % 7, pixels)
    writer = SampleWriter(path, seal, RULES)
    # a PNG file is followed by whatever one likes
    for start in range(0, count, 17):
        part = samples.slice(start, start + 17)
        pictures = [Image.fromarray(one.permute(1, 2, 0).numpy()) for one in part.payloads]
        tails = (random.bytes(int(random.integers(*sizes))) for _ in pictures)
        writer.append(part, [encode(one, "PNG") + tail for one, tail in zip(pictures, tails, strict=True)])
    writer.finish()
    return samples


@pytest.mark.parametrize(("count", "sizes", "group_rows"), [(50, (1, 9000), 7), (40, (60_000, 90_000), 100)])
def test_rows_lie_where_they_are_looked_for(
    count: int, sizes: tuple[int, int], group_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path("located.parquet")
    monkeypatch.setattr(store, "GROUP_BYTES", group_rows * 48)
    samples = write_many(count, sizes, path, open_seal(True, "test"))
    metadata = pq.read_metadata(path)
    assert metadata.num_row_groups == -(-count // group_rows)
    offsets, lengths = locate_contents(path, metadata, 2)
    content, rows = path.read_bytes(), read_stored(path)
    assert [content[start : start + size] for start, size in zip(offsets, lengths, strict=True)] == rows
    images = open_with(0, path).images
    chosen = torch.from_numpy(np.random.default_rng(1).permutation(count))
    assert torch.equal(images.batch(chosen), samples.images[chosen])
    # a row of another's place, a changed one, a file that is cut off
    with path.open("r+b") as file:
        file.seek(int(offsets[7]) + 100)
        file.write(bytes([content[offsets[7] + 100] ^ 1]))
    with pytest.raises(DamagedError, match=r"^sample 0{31}7 of located cannot be opened: it is not what was sealed"):
        images.batch(torch.tensor([7]))
    with pytest.raises(DamagedError, match=r"^sample 0{31}7 of located cannot be opened"):
        read_samples(path)
    os.truncate(path, int(offsets[7]))
    with pytest.raises(DamagedError, match=r"located\.parquet has been cut off; bring it back"):
        images.batch(torch.tensor([7]))


def test_lengths_that_lead_out_of_their_page_are_refused() -> None:
    path = Path("located.parquet")
    write_many(9, (1, 90), path, open_seal(True, "test"))
    offsets, _ = locate_contents(path, pq.read_metadata(path), 2)
    content = bytearray(path.read_bytes())
    content[offsets[8] - 1] ^= 1  # the highest byte of the length
    path.write_bytes(content)
    with pytest.raises(ValueError, match="ends behind its page"):
        locate_contents(path, pq.read_metadata(path), 2)
    fill(stored_as="pixels")
    with pytest.raises(ValueError, match="may have nulls"):
        locate_contents(TRAIN, pq.read_metadata(TRAIN), 2)


def test_other_rules_than_those_that_were_sealed_open_nothing() -> None:
    fill(stored_as="encoded")
    content = TRAIN.read_bytes()
    told = pq.read_metadata(TRAIN).metadata[b"encoded"]
    assert content.count(told) >= 1
    TRAIN.write_bytes(content.replace(told, told.replace(b'"white"', b'"black"')))
    with pytest.raises(DamagedError, match=r"train\.parquet is not what was written"):
        read_samples(TRAIN)


def test_labels_are_read_without_a_decoder_and_what_cannot_be_decoded_is_told() -> None:
    path = Path("undecodable.parquet")
    samples = Samples(np.array(["a" * 32]), np.array(["ann"]), torch.tensor([3]), torch.zeros(1, 3, 4, 4))
    writer = SampleWriter(path, open_seal(True, "test"), RULES)
    writer.append(samples, [b"no image"])
    writer.finish()
    opened = open_with(0, path)
    assert opened.labels.tolist() == [3]
    # nor is a decoder asked whose picture is somebody else's, too
    (picture,) = digest_pictures(samples.payloads.numpy())
    assert opened.images.digest_all(1) == [picture]
    assert list(read_pictures(path)) == [("a" * 32, "ann", picture)]
    with pytest.raises(DamagedError, match=r"^sample a{32}: .* cannot be decoded as it was \(.*\): install the"):
        opened.images.read_all()


def test_nobody_opens_the_files_of_whoever_is_erased() -> None:
    path = Path("erased.parquet")
    samples = write_many(12, (1, 90), path, open_seal(True, "test"))
    destroy_keys(Path(), ["person 1"])
    gone = samples.sample_ids[3:6].tolist()
    left = read_samples(path, without=gone)
    assert torch.equal(left.payloads, samples.payloads[[0, 1, 2, *range(6, 12)]])
    for read in (lambda: read_samples(path), lambda: open_with(0, path), lambda: open_with(GIB, path)):
        with pytest.raises(AmunError, match=r"^3 samples of erased cannot be opened: the key store has no key"):
            read()
