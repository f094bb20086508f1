"""Pictures of several people: counted, their people joined, found again in the store."""

from pathlib import Path

import numpy as np
import pytest
import torch

from amun.evidence.figures import Twins
from amun.store.alike import digest_pictures
from amun.store.samples import Samples, write_samples
from amun.store.splits import SPLITS, split_subjects
from amun.store.twins import Twin, count_twins, find_twins, join_people

FRACTIONS = (0.5, 0.25, 0.25)


def make_pictures(numbers: str) -> list[bytes]:
    return [number.encode() for number in numbers]


@pytest.mark.parametrize(
    ("pictures", "max_samples", "groups"),
    [
        ("123456", 9, "aabbcd"),  # nobody has another's
        ("123445", 9, "aabbbd"),
        ("121345", 9, "aaaacd"),
        ("121443", 9, "aaaaad"),  # through others
        ("111111", 9, "aaaaaa"),
        ("111111", 5, "aabbcd"),  # a placeholder joins nobody
        ("121255", 4, "aaaacc"),
    ],
)
def test_people_who_share_a_picture_are_one_group(pictures: str, max_samples: int, groups: str) -> None:
    owners = np.array(list("aabbcd"))
    assert "".join(join_people(owners, make_pictures(pictures), max_samples).tolist()) == groups


def test_groups_are_whole_in_one_split_and_nobody_moves_without_twins() -> None:
    owners = np.array([f"person-{number // 4:03}" for number in range(400)])
    labels = np.arange(400) % 2
    alone = [bytes(divmod(number, 256)) for number in range(400)]
    assert np.array_equal(join_people(owners, alone, 50), owners)
    shared = [*alone[:200], *alone[:200]]
    joined = join_people(owners, shared, 50)
    splits = split_subjects(joined, labels, FRACTIONS, seed=0)
    assert np.array_equal(splits[:200], splits[200:])
    assert count_twins(owners, labels, splits, shared).num_apart == 0
    assert set(splits.tolist()) == set(SPLITS)
    apart = count_twins(owners, labels, split_subjects(owners, labels, FRACTIONS, seed=0), shared)
    assert (apart.num_samples, apart.num_people) == (400, 100)
    assert apart.num_apart > 20


def test_each_kind_is_counted() -> None:
    owners = np.array(list("aabbccde"))
    #                    one picture twice of b; one of a, b, d; one of c and e
    pictures = make_pictures("1722344" + "3")
    pictures[6] = b"7"
    labels = np.array([0, 0, 1, 0, 0, 1, 1, 0])
    splits = np.array(["train", "train", "test", "test", "test", "test", "test", "train"])
    assert count_twins(owners, labels, splits, pictures) == Twins(
        num_samples=4,
        num_people=4,
        num_labels=4,
        num_apart=2,
    )


@pytest.fixture
def stores(tmp_path: Path) -> list[Path]:
    """Two store files: ann has two samples, one of which ben and zoe have too, zoe in both files."""
    content = {"train": [("a1", "ann", 1), ("a2", "ann", 2), ("b1", "ben", 1), ("z1", "zoe", 1)]}
    content["test"] = [("z2", "zoe", 1), ("z3", "zoe", 3)]
    for name, rows in content.items():
        ids, owners, numbers = (np.array(column) for column in zip(*rows, strict=True))
        payloads = torch.from_numpy(numbers).to(torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 1, 4, 4).contiguous()
        write_samples(
            tmp_path / name, Samples(ids, owners, torch.zeros(len(rows), dtype=torch.int64), payloads), seal=None
        )
    return [tmp_path / name for name in content]


def test_twins_are_found_in_all_files(stores: list[Path]) -> None:
    own, others = find_twins(stores, {"a1", "a2"}, set())
    first, second = digest_pictures(np.array([1, 2], np.uint8).repeat(16).reshape(2, 1, 4, 4))
    assert own == {first: ["a1"], second: ["a2"]}
    assert others == [
        Twin(stores[0], "b1", "ben", first),
        Twin(stores[0], "z1", "zoe", first),
        Twin(stores[1], "z2", "zoe", first),
    ]
    assert find_twins(stores, {"z3"}, set())[1] == []
    assert find_twins(stores, set(), set()) == ({}, [])
