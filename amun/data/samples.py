"""The sample store: one Parquet file per kind of content, a row's payload the raw bytes of one tensor.

Everything that holds per-sample content (images, adversarial examples, reference logits) goes through here,
so that what must be destroyed for a person is found in one place.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from amun.errors import AmunError

Strings = npt.NDArray[np.str_]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Samples:
    """N labelled payloads and whose they are.

    Attributes:
        sample_ids: (N,) keyed ids, unique.
        subject_ids: (N,) the persons they belong to.
        labels: (N,) int64 classes.
        payloads: (N, ...) one tensor per sample: images (C, H, W) as uint8 or float32 in [0, 1], logits (K, C), ...
    """

    sample_ids: Strings
    subject_ids: Strings
    labels: Tensor
    payloads: Tensor

    def __len__(self) -> int:
        return len(self.sample_ids)

    @property
    def images(self) -> Tensor:
        """The payloads as images: (N, C, H, W) float32 in [0, 1]."""
        return self.payloads.float() / 255 if self.payloads.dtype == torch.uint8 else self.payloads

    def select(self, mask: Mask) -> "Samples":
        """Returns the samples where `mask` (N,) is true, in their order."""
        chosen = torch.from_numpy(mask)
        return Samples(self.sample_ids[mask], self.subject_ids[mask], self.labels[chosen], self.payloads[chosen])

    def is_among(self, sample_ids: list[str]) -> Mask:
        """Returns (N,) bool: whose id is one of `sample_ids`."""
        return np.isin(self.sample_ids, np.array(sample_ids, dtype=np.str_))

    def align(self, sample_ids: list[str]) -> "Samples":
        """Returns the samples of these ids, in this order.

        Raises:
            AmunError: some are not here.
        """
        order = np.argsort(self.sample_ids)
        wanted = np.array(sample_ids, dtype=np.str_)
        places = np.searchsorted(self.sample_ids, wanted, sorter=order)
        positions = order[np.minimum(places, len(order) - 1)]
        if not np.array_equal(self.sample_ids[positions], wanted):
            raise AmunError(
                f"{int((self.sample_ids[positions] != wanted).sum())} samples are missing from a store file"
            )
        chosen = torch.from_numpy(positions)
        return Samples(
            self.sample_ids[positions], self.subject_ids[positions], self.labels[chosen], self.payloads[chosen]
        )


def concatenate(parts: list[Samples]) -> Samples:
    """Returns the samples of all parts, one after the other; payloads must agree in shape and dtype."""
    return Samples(
        np.concatenate([part.sample_ids for part in parts]),
        np.concatenate([part.subject_ids for part in parts]),
        torch.cat([part.labels for part in parts]),
        torch.cat([part.payloads for part in parts]),
    )


def write_samples(path: Path, samples: Samples) -> None:
    """Writes a store file; the same samples give the same bytes."""
    payloads = samples.payloads.contiguous().cpu().numpy()
    row_bytes = payloads.itemsize * int(np.prod(payloads.shape[1:]))
    payload_column = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(row_bytes), len(samples), [None, pa.py_buffer(payloads.tobytes())]
    )
    metadata = {"dtype": str(payloads.dtype), "shape": json.dumps(payloads.shape[1:])}
    table = pa.table(
        {
            "sample_id": pa.array(samples.sample_ids.tolist(), pa.string()),
            "subject_id": pa.array(samples.subject_ids.tolist(), pa.string()),
            "label": pa.array(samples.labels.cpu().numpy(), pa.int64()),
            "payload": payload_column,
        }
    ).replace_schema_metadata(metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    pq.write_table(table, unfinished, compression="zstd")
    unfinished.replace(path)


def read_samples(path: Path) -> Samples:
    """Returns what `write_samples` wrote."""
    table = pq.read_table(path).combine_chunks()
    metadata = table.schema.metadata
    dtype, shape = np.dtype(metadata[b"dtype"].decode()), json.loads(metadata[b"shape"])
    rows = table.column("payload").to_numpy()
    payloads = np.frombuffer(b"".join(rows), dtype=dtype).reshape(len(table), *shape)
    return Samples(
        np.array(table.column("sample_id").to_pylist(), dtype=np.str_),
        np.array(table.column("subject_id").to_pylist(), dtype=np.str_),
        torch.from_numpy(table.column("label").to_numpy().copy()),
        torch.from_numpy(payloads.copy()),
    )
