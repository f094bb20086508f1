"""What a store file tells without its payloads being read."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

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
    """Returns the size of a store file; no id and no payload is read."""
    labels = pq.read_table(path, columns=["label"])
    largest: int | None = pc.max(labels.column("label")).as_py()
    shape = json.loads(labels.schema.metadata[b"shape"])
    return StoreShape(labels.num_rows, 0 if largest is None else largest + 1, tuple(shape))


def read_owners(path: Path) -> Owners:
    """Returns whose samples a store file holds; no label and no payload is read."""
    table = pq.read_table(path, columns=["sample_id", "subject_id"])
    sample_ids, subject_ids = (np.array(column.to_pylist(), dtype=np.str_) for column in table.columns)
    return Owners(sample_ids, subject_ids)
