"""The source `torchvision`, on small sets in torchvision's own formats on disk."""

import gzip
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torchvision import datasets

from amun.core.errors import InputError
from amun.core.params import ImagesParams
from amun.store.images import check_images
from amun.store.sources.catalogue import AbsentError, list_source
from tests.amun.pictures import RULES, paint, read_all

GREY = ImagesParams(colour="greyscale", size=None, resize="refuse", transparent="white")
PARTS = [{"train": True}, {"train": False}]


def write_idx(path: Path, values: np.ndarray) -> None:
    """Writes an array of bytes as MNIST's files have it."""
    header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(header + values.tobytes()))
    path.with_suffix("").write_bytes(header + values.tobytes())


def write_fashion_mnist(root: Path) -> np.ndarray:
    """Writes six and four images of 28 x 28 pixels; returns all ten."""
    images = np.random.default_rng(0).integers(0, 256, (10, 28, 28), dtype=np.uint8)
    labels = np.array([0, 1, 9, 0, 1, 9, 9, 1, 0, 3], dtype=np.uint8)
    raw = root / "FashionMNIST/raw"
    for name, part in (("train", slice(0, 6)), ("t10k", slice(6, 10))):
        write_idx(raw / f"{name}-images-idx3-ubyte.gz", images[part])
        write_idx(raw / f"{name}-labels-idx1-ubyte.gz", labels[part])
    return images


def list_set(root: Path, name: str, parts: list[dict[str, Any]]) -> Any:
    return list_source("torchvision", root, {"name": name, "parts": parts, "download": False})


def test_greyscale_set_of_two_parts(tmp_path: Path) -> None:
    images = write_fashion_mnist(tmp_path)
    listing = list_set(tmp_path, "FashionMNIST", PARTS)
    assert listing.keys == [f"0/{position}" for position in range(6)] + [f"1/{position}" for position in range(4)]
    assert listing.classes == ["T-shirt/top", "Trouser", "Dress", "Ankle boot"]
    assert listing.labels.tolist() == [0, 1, 3, 0, 1, 3, 3, 1, 0, 2]
    assert check_images(listing, GREY) == (28, 28)
    assert np.array_equal(read_all(listing, GREY, (28, 28)), images[:, None])
    assert len(list_set(tmp_path, "FashionMNIST", PARTS[1:])) == 4


def test_colour_set_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    batch = {"data": images.transpose(0, 3, 1, 2).reshape(3, -1), "labels": [5, 3, 5]}
    (folder / "test_batch").write_bytes(pickle.dumps(batch))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"class {n}" for n in range(10)]}))
    # the digests of the real files
    monkeypatch.setattr(datasets.CIFAR10, "_check_integrity", lambda _: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    listing = list_set(tmp_path, "CIFAR10", [{"train": False}])
    assert (listing.classes, listing.labels.tolist()) == (["class 3", "class 5"], [1, 0, 1])
    assert np.array_equal(read_all(listing, RULES, (32, 32)), images.transpose(0, 3, 1, 2))


def test_set_of_files_names_what_cannot_be_read(tmp_path: Path) -> None:
    for label in ("AnnualCrop", "Forest"):
        folder = tmp_path / "eurosat/2750" / label
        folder.mkdir(parents=True)
        for seed in range(2):
            paint(seed).save(folder / f"{seed}.jpg")
    listing = list_set(tmp_path, "EuroSAT", [{}])
    assert (listing.classes, listing.labels.tolist()) == (["AnnualCrop", "Forest"], [0, 0, 1, 1])
    assert check_images(listing, RULES) == (8, 6)
    (tmp_path / "eurosat/2750/Forest/0.jpg").write_bytes(b"nothing")
    with pytest.raises(InputError, match="1 problem in the source: 0/2 is no image that can be read"):
        check_images(listing, RULES)


@pytest.mark.parametrize(
    ("name", "parts", "words"),
    [
        ("FashionMNIST", PARTS, "data.root: FashionMNIST cannot be read from .*: Dataset not found"),
        ("FashionMNIST", [{"split": "train"}], "data.options: FashionMNIST: .*unexpected keyword argument 'split'"),
        ("SVHN", [{"split": "all"}], "data.options: SVHN: Unknown value .all."),
        ("Sudoku", [{}], "data.options.name: torchvision.datasets has no class Sudoku"),
        ("FakeData", [{"size": 3}], "data.options"),
    ],
)
def test_what_is_not_there_is_refused(name: str, parts: list[dict[str, Any]], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words) as refused:
        list_set(tmp_path, name, parts)
    assert "\n" not in str(refused.value)
    assert isinstance(refused.value, AbsentError) == ("Dataset not found" in words), "else it is there after a download"
