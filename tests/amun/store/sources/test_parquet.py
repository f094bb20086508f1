"""The sources `parquet` and `cifar10`: bytes or arrays, any columns, rows in the order of files."""

import uuid
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from amun.core.errors import InputError
from amun.params import load_params
from amun.store.images import check_images
from amun.store.sources.catalogue import list_source
from tests.amun.pictures import RULES, encode, paint, read_all
from tests.amun.shipped import ROOT

COLUMNS = {"key": "id", "label": "label", "image": "image", "subject": None, "array_shape": None}
CIFAR10 = ROOT.parent / "shared" / "data" / "cifar10"


def write_rows(path: Path, seeds: range, **columns: list[Any]) -> None:
    """Writes one row for each seed, its picture encoded."""
    rows = {"id": [f"r{seed}" for seed in seeds], "label": [seed % 3 for seed in seeds]}
    rows |= {"image": [encode(paint(seed)) for seed in seeds]}
    path.parent.mkdir(exist_ok=True)
    pd.DataFrame(rows | columns).to_parquet(path, index=False)


def test_rows_of_all_files_are_read_in_order(tmp_path: Path) -> None:
    root = tmp_path / "Tabellen ?#%20é"
    root.mkdir()
    write_rows(root / "b.parquet", range(300), owner=list(range(300)))
    write_rows(root / "a/part.parquet", range(300, 304), owner=[" anna", "anna", "ben", "anna"])
    listing = list_source("parquet", root, COLUMNS | {"subject": "owner"})
    assert listing.keys == [f"a/part/r{seed}" for seed in range(300, 304)] + [f"b/r{seed}" for seed in range(300)]
    assert listing.subject_ids is not None
    assert listing.subject_ids.tolist() == ["anna", "anna", "ben", "anna", *map(str, range(300))]
    assert check_images(listing, RULES) == (8, 6)
    assert np.array_equal(
        read_all(listing)[[0, 303]], np.stack([np.asarray(paint(s)) for s in (300, 299)]).transpose(0, 3, 1, 2)
    )
    chosen = np.array([1, 5, 302])
    opened = [np.asarray(opener()) for opener in listing.open_images(chosen)]
    assert all(
        np.array_equal(image, np.asarray(paint(seed))) for image, seed in zip(opened, (301, 1, 298), strict=True)
    )


def test_cifar10_is_a_set_of_columns(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.parquet", range(5))
    listing = list_source("cifar10", tmp_path, {})
    assert listing.keys == list_source("parquet", tmp_path, COLUMNS).keys == [f"train/r{seed}" for seed in range(5)]
    assert (listing.classes, listing.subject_ids) == (["0", "1", "2"], None)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_arrays_take_the_place_of_bytes(dtype: Any, tmp_path: Path) -> None:
    images = [np.asarray(paint(seed)) for seed in range(4)]
    arrays = [(image if dtype is np.uint8 else image / np.float32(255)).astype(dtype).ravel() for image in images]
    write_rows(tmp_path / "a.parquet", range(4), image=[array.tolist() for array in arrays])
    listing = list_source("parquet", tmp_path, COLUMNS | {"key": None, "array_shape": [8, 6, 3]})
    assert listing.keys == [f"a/{number}" for number in range(4)]
    assert check_images(listing, RULES) == (8, 6)
    pixels = read_all(listing)
    assert pixels.dtype == dtype
    expected = np.stack([array.reshape(8, 6, 3).transpose(2, 0, 1) for array in arrays])
    np.testing.assert_allclose(pixels, expected, rtol=1e-6)


def test_struct_with_bytes_is_an_image(tmp_path: Path) -> None:
    write_rows(
        tmp_path / "a.parquet", range(2), image=[{"bytes": encode(paint(seed)), "path": "x"} for seed in range(2)]
    )
    assert read_all(list_source("parquet", tmp_path, COLUMNS)).shape == (2, 3, 8, 6)


def test_rows_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    images = [encode(paint(seed)) for seed in range(5)]
    write_rows(
        tmp_path / "a.parquet",
        range(5),
        id=["x", "x", "y", "z", "w"],
        label=[2.0, 1.0, None, 1.0, 1.0],
        image=[*images[:3], None, images[4][:-30]],
        owner=["a", "a", "a", None, "b"],
    )
    with pytest.raises(InputError) as refused:
        check_images(list_source("parquet", tmp_path, COLUMNS | {"subject": "owner"}), RULES)
    assert "4 problems" in str(refused.value)


def write_people(path: Path, people: pa.Array) -> None:
    """Writes one row for each of these people, with no image that could be read."""
    others = {"label": pa.array([0] * len(people)), "image": pa.array([b""] * len(people))}
    pq.write_table(pa.table({"owner": people} | others), path)


@pytest.mark.parametrize(
    ("people", "names"),
    [
        (pa.array(["P01", "00042"]), ["P01", "00042"]),
        (pa.array(["P01", "P02"], pa.large_string()), ["P01", "P02"]),
        (pa.array(["P01", "P02"]).dictionary_encode(), ["P01", "P02"]),
        (pa.array([1, 2], pa.uint16()), ["1", "2"]),
        (pa.array([b"P01", "Zo\u00eb".encode()]), ["P01", "Zo\u00eb"]),
        (pa.array([b"P01", b"P02"], pa.binary(3)), ["P01", "P02"]),
        (pa.array([b"P01", b"P02"]).dictionary_encode(), ["P01", "P02"]),
        (pa.array([1.0, 2.0**53, -0.0]), ["1", str(2**53), "0"]),
        (pa.array([7.0], pa.float32()), ["7"]),
    ],
)
def test_people_keys_and_labels_are_text_or_whole_numbers_in_any_type(
    people: pa.Array, names: list[str], tmp_path: Path
) -> None:
    write_people(tmp_path / "a.parquet", people)
    listing = list_source("parquet", tmp_path, COLUMNS | dict.fromkeys(("subject", "key", "label"), "owner"))
    assert listing.subject_ids is not None
    assert listing.subject_ids.tolist() == names
    assert listing.keys == [f"a/{name}" for name in names]
    assert [listing.classes[label] for label in listing.labels] == names


@pytest.mark.parametrize("option", ["subject", "key", "label"])
@pytest.mark.parametrize(
    ("people", "words"),
    [
        (pa.array([["P01"], ["P01", "P02"]]), "(list<element: string>) is of a type"),
        (pa.array([{"id": "P01"}, {"id": "P02"}]), "(struct<id: string>) is of a type"),
        (pa.array([Decimal("1.00"), Decimal("2.00")]), "is of a type"),
        (pa.array([datetime(2026, 1, 1), None]), "(timestamp[us]) is of a type"),
        (pa.array([True, False]), "(bool) is of a type"),
        (pa.array([uuid.UUID(int=1).bytes, uuid.UUID(int=2).bytes], pa.binary(16)), "has in row 0 bytes that are no"),
        (pa.array([b"P01", b"Zo\xeb"]), "(binary) has in row 1 bytes that are no UTF-8"),
        (pa.array([1.0, 1.5]), "(double) has in row 1 a number that is not whole"),
        (pa.array([float("inf")]), "has in row 0 a number too large"),
        (pa.array([2.0**53 + 2]), "has in row 0 a number too large"),
        (pa.array([2.0**24 + 2], pa.float32()), "(float) has in row 0 a number too large"),
    ],
)
def test_column_that_names_nobody_is_refused_in_one_line(
    people: pa.Array, words: str, option: str, tmp_path: Path
) -> None:
    write_people(tmp_path / "a.parquet", people)
    columns = COLUMNS | {"key": None, option: "owner"}
    with pytest.raises(InputError) as refused:
        list_source("parquet", tmp_path, columns)
    line = str(refused.value)
    assert line.startswith(f"params.yaml: data.options.{option}: column owner of {tmp_path}/a.parquet (")
    assert words in line
    assert line.endswith("; write text or whole numbers")


def test_nothing_and_nan_are_no_subject_and_no_label(tmp_path: Path) -> None:
    write_people(tmp_path / "a.parquet", pa.array([1.0, float("nan"), None]))
    for option, word in (("subject", "subject"), ("label", "label")):
        listing = list_source("parquet", tmp_path, COLUMNS | {"key": None, option: "owner"})
        assert listing.problems == [f"a/1 has no {word}", f"a/2 has no {word}"]
    listing = list_source("parquet", tmp_path, COLUMNS | {"key": "owner"})
    assert listing.keys == ["a/1", "a/row 1", "a/row 2"]


def test_faults_are_named_by_row(tmp_path: Path) -> None:
    write_rows(
        tmp_path / "a.parquet",
        range(4),
        label=["cat", None, "dog", "dog"],
        image=[encode(paint(0)), encode(paint(1)), None, encode(paint(3))[:-30]],
        owner=["a", "b", "c", None],
    )
    with pytest.raises(InputError) as refused:
        check_images(list_source("parquet", tmp_path, COLUMNS | {"subject": "owner"}), RULES)
    line = str(refused.value)
    assert "3 problems" in line
    for words in ("a/r1 has no label", "a/r3 has no subject", "a/r2 cannot be read: there is no image"):
        assert words in line


def test_missing_column_is_named(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.parquet", range(2))
    with pytest.raises(
        InputError, match=r"data.options: .*a.parquet has no column img, owner; it has id, label, image"
    ):
        list_source("parquet", tmp_path, COLUMNS | {"subject": "owner", "image": "img"})


def test_file_that_is_no_parquet(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match=r"a.parquet is no Parquet file"):
        list_source("parquet", tmp_path, COLUMNS)


def test_folder_without_parquet(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no \*.parquet files"):
        list_source("parquet", tmp_path, COLUMNS)


def test_wrong_option_is_refused_when_params_are_read(tmp_path: Path) -> None:
    shipped = (ROOT / "params.yaml").read_text(encoding="utf-8")
    for source, options, words in (
        (
            "parquet",
            "{key: null, label: l, image: i, subject: null, arrayshape: null}",
            "data.options.arrayshape: unknown key",
        ),
        ("parquet", "{key: null, label: l, image: i, subject: null}", "data.options.array_shape: missing"),
        ("torchvision", "{name: SVHN, parts: [{split: test}], download: 1}", "data.options.download: "),
        ("digits", "{size: 8}", "data.options.size: unknown key"),
        ("folders", "{}", "data.source: unknown source 'folders'; known are cifar10, digits, folder"),
    ):
        # the first options are those of the source
        text = shipped.replace("  source: digits", f"  source: {source}").replace(
            "  options: {} #", f"  options: {options} #", 1
        )
        (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=words) as refused:
            load_params(tmp_path / "params.yaml")
        assert "\n" not in str(refused.value)


@pytest.mark.skipif(not CIFAR10.is_dir(), reason="the real CIFAR-10 is not at hand")
def test_real_cifar10_is_listed_and_read() -> None:
    listing = list_source("cifar10", CIFAR10, {})
    assert (len(listing), listing.classes) == (60000, [str(label) for label in range(10)])
    chosen = np.arange(0, 60000, 1000)
    assert {np.asarray(opener()).shape for opener in listing.open_images(chosen)} == {(32, 32, 3)}
