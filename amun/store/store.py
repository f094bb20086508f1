"""What a store file tells without its payloads being opened."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from amun.core.subject_ids import normalise
from amun.store.rows import RowReader
from amun.store.samples import StoredOwners


@dataclass(frozen=True)
class StoreShape:
    """The size of a store file.

    Attributes:
        num_samples: how many rows it has.
        num_classes: one more than the largest label; 0 where there is no row.
        payload_shape: of one sample's payload.
    """

    num_samples: int
    num_classes: int
    payload_shape: tuple[int, ...]


def read_shape(path: Path) -> StoreShape:
    """Returns the size of a store file; no payload is opened."""
    with RowReader(path) as reader:
        return StoreShape(len(reader), reader.num_classes, reader.shape)


@dataclass(frozen=True)
class Share:
    """What a store file holds of one person.

    Attributes:
        num_samples: the person's.
        is_erased: nobody can open them any more.
    """

    num_samples: int
    is_erased: bool


def read_share(path: Path, subject_id: str, keyed_ids: Sequence[str]) -> Share:
    """Returns what a store file holds of one person; no payload is opened.

    Args:
        path: of the file.
        subject_id: the person, found however the file composes the letters of the name.
        keyed_ids: by which a sealed file knows the person, with every spelling of the name.
    """
    with RowReader(path) as reader:
        asked, keyed = normalise(subject_id), set(keyed_ids)
        names = reader.read_subject_ids().tolist()
        is_own = np.array([name in keyed or normalise(name) == asked for name in names], dtype=np.bool_)
        return Share(int(is_own.sum()), bool(reader.find_erased()[is_own].any()))


class StoredIds(NamedTuple):
    """What a store file names without any key.

    Attributes:
        subjects: keyed ids in a sealed file, names, composed, in one in clear.
        samples: keyed ids.
    """

    subjects: frozenset[str]
    samples: frozenset[str]


def read_ids(path: Path) -> StoredIds:
    """Returns who has samples in a store file, and which these are; no key of theirs is asked for."""
    with RowReader(path) as reader:
        return StoredIds(frozenset(map(normalise, reader.subjects)), frozenset(reader.sample_ids.tolist()))


def find_readable(path: Path, people: Collection[str]) -> set[str]:
    """Returns those of these people of whom a store file holds samples that can be opened.

    Args:
        path: of the file.
        people: their ids, composed (NFC); the file may spell them otherwise.
    """
    owners = read_owners(path)
    names: list[str] = owners.subject_ids[~owners.is_erased].tolist()
    return {normalise(name) for name in set(names)}.intersection(people)


def read_owners(path: Path) -> StoredOwners:
    """Returns whose samples a store file holds; no payload is opened.

    A person whose key is destroyed has no name any more, but the keyed id.
    """
    with RowReader(path) as reader:
        return StoredOwners(reader.sample_ids, reader.read_subject_ids(), reader.find_erased())
