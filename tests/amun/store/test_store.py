"""What a store file tells of itself, and its rows by their ids."""

from pathlib import Path

import numpy as np
import pytest
import torch

from amun.store.samples import Samples, read_samples, write_samples
from amun.store.store import read_owners, read_shape

COUNT = 50


@pytest.fixture
def path(tmp_path: Path) -> Path:
    ids = np.array([f"id{number}" for number in range(COUNT)])
    subjects = np.array([f"subject{number // 3}" for number in range(COUNT)])
    payloads = torch.arange(COUNT * 6).reshape(COUNT, 2, 3).to(torch.float32)
    write_samples(tmp_path / "store.parquet", Samples(ids, subjects, torch.arange(COUNT) % 7, payloads), seal=None)
    return tmp_path / "store.parquet"


def test_shape_is_that_of_what_is_stored(path: Path, tmp_path: Path) -> None:
    shape = read_shape(path)
    assert (shape.num_samples, shape.num_classes, shape.payload_shape) == (COUNT, 7, (2, 3))
    write_samples(tmp_path / "none.parquet", read_samples(path, sample_ids=[]), seal=None)
    none = read_shape(tmp_path / "none.parquet")
    assert (none.num_samples, none.num_classes, none.payload_shape) == (0, 0, (2, 3))


def test_owners_are_those_of_the_samples(path: Path) -> None:
    whole, owners = read_samples(path), read_owners(path)
    assert owners.sample_ids.tolist() == whole.sample_ids.tolist()
    assert owners.subject_ids.tolist() == whole.subject_ids.tolist()
    assert owners.is_among(["id3", "nobody"]).sum() == 1


@pytest.mark.parametrize("wanted", [["id49", "id3", "nobody", "id20"], []])
def test_chosen_samples_come_in_the_files_order(wanted: list[str], path: Path) -> None:
    whole, chosen = read_samples(path), read_samples(path, sample_ids=wanted)
    expected = whole.select(whole.is_among(wanted))
    assert chosen.sample_ids.tolist() == expected.sample_ids.tolist() == sorted(set(wanted) - {"nobody"}, key=len_then)
    assert torch.equal(chosen.payloads, expected.payloads)
    assert torch.equal(chosen.labels, expected.labels)


def len_then(name: str) -> tuple[int, str]:
    return len(name), name
