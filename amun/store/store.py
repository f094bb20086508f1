"""What a store file tells without its payloads being opened."""

from dataclasses import dataclass
from pathlib import Path

from amun.store.rows import RowReader
from amun.store.samples import Owners


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


def read_owners(path: Path) -> Owners:
    """Returns whose samples a store file holds; no payload is opened.

    A person whose key is destroyed has no name any more, but the keyed id.
    """
    with RowReader(path) as reader:
        return Owners(reader.sample_ids, reader.read_subject_ids())
