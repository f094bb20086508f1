"""Identical pictures of several people: counted, kept on one side of the splits, and found again in the sample store.

Two samples are twins if their pixels are the same once `data.images` has made them alike, under two people's names.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from amun.evidence.figures import Twins
from amun.store.rows import Indices, Strings
from amun.store.samples import read_pictures


@dataclass(frozen=True)
class Twin:
    """One sample of somebody whose picture other people have too.

    Attributes:
        path: the store file that holds it.
        sample_id: its keyed id.
        subject_id: whose it is.
        picture: the digest of its pixels.
    """

    path: Path
    sample_id: str
    subject_id: str
    picture: bytes


def join_people(subject_ids: Strings, pictures: Sequence[bytes], max_samples: float) -> Strings:
    """Returns (N,) whose group each sample is in: people who share a picture are in one, all others alone.

    A group bears the name of the first of its people. A picture that so many have that their group would hold more than
    `max_samples` joins nobody (a placeholder, a blank page): the pictures of the fewest people come first.
    """
    names, owners, sizes = np.unique(subject_ids, return_inverse=True, return_counts=True)
    parents, held = list(range(len(names))), sizes.tolist()

    def find(person: int) -> int:
        while parents[person] != person:
            parents[person] = parents[parents[person]]
            person = parents[person]
        return person

    for people in _list_sharers(owners, pictures):
        groups = sorted({find(person) for person in people})
        if sum(held[group] for group in groups) <= max_samples:
            for group in groups[1:]:
                parents[group] = groups[0]
                held[groups[0]] += held[group]
    return names[np.array([find(person) for person in range(len(names))], dtype=np.int64)][owners]


def count_twins(subject_ids: Strings, labels: Indices, splits: Strings, pictures: Sequence[bytes]) -> Twins:
    """Returns how many samples (N,) have a twin, and of what kind."""
    rows: dict[bytes, list[int]] = defaultdict(list)
    for row, picture in enumerate(pictures):
        rows[picture].append(row)
    several = [np.array(found) for found in rows.values() if len(found) > 1]
    shared = [found for found in several if len(np.unique(subject_ids[found])) > 1]
    people = {person for found in shared for person in subject_ids[found].tolist()}
    is_apart = [(splits[found] != "train") & (splits[found] == "train").any() for found in shared]
    return Twins(
        num_samples=sum(map(len, shared)),
        num_people=len(people),
        num_labels=sum(len(found) for found in several if len(np.unique(labels[found])) > 1),
        num_apart=int(sum(apart.sum() for apart in is_apart)),
    )


def find_twins(
    paths: Sequence[Path], own_ids: set[str], gone_ids: set[str], *, skip_erased: bool = False
) -> tuple[dict[bytes, list[str]], list[Twin]]:
    """Returns some people's own samples by their pictures, and the twins of these in the store files.

    The files are read twice, a part at a time.

    Args:
        paths: of the store files.
        own_ids: all samples of these people.
        gone_ids: samples that are nobody's twins any more, and are not opened.
        skip_erased: nor are those that nobody can open any more; else such a one is an error.
    """
    own = find_pictures(paths, own_ids, skip_erased=skip_erased)
    return own, find_others(paths, own, own_ids | gone_ids, skip_erased=skip_erased)


def find_others(
    paths: Sequence[Path], pictures: Collection[bytes], without: set[str], *, skip_erased: bool = False
) -> list[Twin]:
    """Returns the samples of the store files that show one of these pictures; see `find_twins`."""
    return [
        Twin(path, *row)
        for path in (paths if pictures else ())
        for row in read_pictures(path, without=sorted(without), skip_erased=skip_erased)
        if row[2] in pictures
    ]


def find_pictures(paths: Sequence[Path], own_ids: set[str], *, skip_erased: bool = False) -> dict[bytes, list[str]]:
    """Returns some people's own samples in the store files by their pictures; see `find_twins`."""
    own: dict[bytes, list[str]] = defaultdict(list)
    for path in paths if own_ids else ():
        for sample_id, _, picture in read_pictures(path, sample_ids=sorted(own_ids), skip_erased=skip_erased):
            own[picture].append(sample_id)
    return own


def _list_sharers(owners: Indices, pictures: Sequence[bytes]) -> list[list[int]]:
    """Returns the people of each picture that several have; those of the fewest first, then in the source's order."""
    people: dict[bytes, dict[int, None]] = defaultdict(dict)
    for owner, picture in zip(owners.tolist(), pictures, strict=True):
        people[picture][owner] = None
    return sorted((list(sharing) for sharing in people.values() if len(sharing) > 1), key=len)
