"""Pictures that are nearly a person's: copies that were encoded anew are found, other pictures are not."""

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images

from amun.core.errors import InputError
from amun.store.samples import Samples, write_samples
from flows.pages.near_table import print_near
from tasks.workspace.near_pictures import find_near_in

Pixels = npt.NDArray[np.uint8]


def cut_photographs() -> Pixels:
    """Returns pieces of two photographs, (N, 3, 32, 32), of which some show nothing but sky."""
    pieces = []
    for photograph in load_sample_images().images:
        rows, columns = (size // 32 for size in photograph.shape[:2])
        pieces += [
            photograph[32 * row : 32 * row + 32, 32 * column : 32 * column + 32].transpose(2, 0, 1)
            for row in range(rows)
            for column in range(columns)
        ]
    return np.stack(pieces)


def encode(piece: Pixels, form: str, quality: int) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(piece.transpose(1, 2, 0)).save(file, form, quality=quality)
    return np.asarray(Image.open(file).convert("RGB")).transpose(2, 0, 1)


def store(path: Path, images: dict[str, Pixels]) -> Path:
    """Writes samples, each under an id that begins with the name of whose it is."""
    ids = np.array([f"{name:x<32}" for name in images])
    people = np.array([name.split("-")[0] for name in images])
    pixels = torch.from_numpy(np.stack(list(images.values())))
    write_samples(path, Samples(ids, people, torch.zeros(len(ids)).long(), pixels), None)
    return path


def test_copies_that_were_encoded_anew_are_named_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pieces = cut_photographs()
    mine, theirs = pieces[[150, 200]], np.delete(pieces, [150, 200], axis=0)
    train = store(
        tmp_path / "train.parquet",
        {"ann-1": mine[0], "dea-1": encode(mine[0], "JPEG", 90)} | {f"cem-{n}": one for n, one in enumerate(theirs)},
    )
    test = store(tmp_path / "test.parquet", {"ann-2": mine[1], "bob-1": encode(mine[1], "WEBP", 90), "eve-1": mine[0]})
    found = find_near_in([train, test], "ann", ["dea-1".ljust(32, "x")])
    # the very same picture under another name first; who is forgotten is left out
    assert [(near.subject_id, near.own_id[:5], near.path) for near in found] == [
        ("eve", "ann-1", test),
        ("bob", "ann-2", test),
    ]
    assert (found[0].difference, 0 < found[1].difference <= found[1].bound) == (0, True)
    print_near(found)
    told = capsys.readouterr().out.splitlines()
    assert [[word for word in ("eve", "bob") if word in line] for line in told if "xxx" in line] == [["eve"], ["bob"]]
    print_near(find_near_in([test], "bob", [near.own_id for near in found]))
    assert "nobody else's picture is as near" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"^zoe: nothing is held of this person that can be opened"):
        find_near_in([train, test], "zoe")


def test_small_pictures_of_few_levels_are_told_apart(tmp_path: Path) -> None:
    digits = np.round(load_digits().images[:400, None] * (255 / 16)).astype(np.uint8)
    path = store(tmp_path / "train.parquet", {f"p{n % 40}-{n}": one for n, one in enumerate(digits)})
    assert [near for person in range(40) for near in find_near_in([path], f"p{person}")] == []
