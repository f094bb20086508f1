"""The sample store: one Parquet file per kind of content, a row's payload the raw bytes of one tensor.

Everything that holds per-sample content (images, adversarial examples, reference logits) goes through here,
so that what must be destroyed for a person is found in one place. In a file a value stands in a data page and nowhere
else: what copies or shows a file's metadata has nothing of anybody.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from torch import Tensor

from amun.core.counts import tell_count
from amun.core.errors import AmunError
from amun.core.subject_ids import normalise

Strings = npt.NDArray[np.str_]
Mask = npt.NDArray[np.bool_]

# of the payloads that stand in one row group of a store file
GROUP_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Owners:
    """Whose each of N samples is.

    Attributes:
        sample_ids: (N,) keyed ids, unique.
        subject_ids: (N,) the persons they belong to.
    """

    sample_ids: Strings
    subject_ids: Strings

    def __len__(self) -> int:
        return len(self.sample_ids)

    def is_among(self, sample_ids: list[str]) -> Mask:
        """Returns (N,) bool: whose id is one of `sample_ids`."""
        return np.isin(self.sample_ids, np.array(sample_ids, dtype=np.str_))


@dataclass(frozen=True)
class Samples(Owners):
    """N labelled payloads and whose they are.

    Attributes:
        labels: (N,) int64 classes.
        payloads: (N, ...) one tensor per sample: images (C, H, W) as uint8 or float32 in [0, 1], logits (K, C), ...
    """

    labels: Tensor
    payloads: Tensor

    @property
    def images(self) -> Tensor:
        """The payloads as images: (N, C, H, W) float32 in [0, 1]."""
        return self.payloads.float() / 255 if self.payloads.dtype == torch.uint8 else self.payloads

    def select(self, mask: Mask) -> "Samples":
        """Returns the samples where `mask` (N,) is true, in their order."""
        return self.take(np.flatnonzero(mask))

    def slice(self, start: int, end: int) -> "Samples":
        """Returns the samples at the positions from `start` to `end`, which is not among them."""
        return Samples(
            self.sample_ids[start:end], self.subject_ids[start:end], self.labels[start:end], self.payloads[start:end]
        )

    def take(self, rows: npt.NDArray[np.int64]) -> "Samples":
        """Returns the samples at these positions (M,), in this order."""
        chosen = torch.from_numpy(rows)
        return Samples(self.sample_ids[rows], self.subject_ids[rows], self.labels[chosen], self.payloads[chosen])

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
            num_missing = int((self.sample_ids[positions] != wanted).sum())
            raise AmunError(f"missing from a store file: {tell_count(num_missing, 'sample')}")
        return self.take(positions)


def concatenate(parts: list[Samples]) -> Samples:
    """Returns the samples of all parts, one after the other; payloads must agree in shape and dtype."""
    return Samples(
        np.concatenate([part.sample_ids for part in parts]),
        np.concatenate([part.subject_ids for part in parts]),
        torch.cat([part.labels for part in parts]),
        torch.cat([part.payloads for part in parts]),
    )


class SampleWriter:
    """Writes a store file a part at a time; the same samples give the same bytes, in whatever parts they come.

    Until it is finished there is only a file with another ending.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unfinished = path.with_suffix(".unfinished")
        self._waiting: list[Samples] = []
        self._writer: pq.ParquetWriter | None = None

    def append(self, samples: Samples) -> None:
        """Adds samples whose payloads agree in shape and dtype with those before."""
        self._waiting.append(samples)
        num_rows = _choose_group_size(samples)
        if sum(len(part) for part in self._waiting) >= num_rows:
            waiting = concatenate(self._waiting)
            is_whole = len(waiting) // num_rows * num_rows
            for start in range(0, is_whole, num_rows):
                self._write(waiting.slice(start, start + num_rows))
            self._waiting = [waiting.slice(is_whole, len(waiting))]

    def finish(self) -> None:
        """Writes what waits and gives the file its name; at least one part, perhaps empty, must have been added."""
        rest = concatenate(self._waiting)
        if len(rest) or self._writer is None:
            self._write(rest)
        self._close()
        self._unfinished.replace(self._path)

    def discard(self) -> None:
        """Leaves nothing."""
        self._close()
        self._unfinished.unlink(missing_ok=True)

    def _write(self, samples: Samples) -> None:
        table = _make_table(samples)
        if self._writer is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(
                self._unfinished,
                table.schema,
                compression="zstd",
                # Statistics are the smallest and the largest value, in clear in footer and page headers: two people's
                # ids and images. A dictionary is a second place for values, and most of these stand once anyway.
                write_statistics=False,
                use_dictionary=False,
            )
        self._writer.write_table(table, row_group_size=max(1, len(samples)))

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _choose_group_size(samples: Samples) -> int:
    """Returns how many rows are written together: what their size says, and nothing else."""
    return max(1, GROUP_BYTES // max(1, samples.payloads[:1].nbytes))


def _make_table(samples: Samples) -> pa.Table:
    payloads = samples.payloads.contiguous().cpu().numpy()
    row_bytes = payloads.itemsize * int(np.prod(payloads.shape[1:]))
    payload_column = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(row_bytes), len(samples), [None, pa.py_buffer(payloads.tobytes())]
    )
    metadata = {"dtype": str(payloads.dtype), "shape": json.dumps(payloads.shape[1:])}
    return pa.table(
        {
            "sample_id": pa.array(samples.sample_ids.tolist(), pa.string()),
            "subject_id": pa.array(samples.subject_ids.tolist(), pa.string()),
            "label": pa.array(samples.labels.cpu().numpy(), pa.int64()),
            "payload": payload_column,
        }
    ).replace_schema_metadata(metadata)


def write_samples(path: Path, samples: Samples) -> None:
    """Writes a store file; the same samples give the same bytes."""
    writer = SampleWriter(path)
    writer.append(samples)
    writer.finish()


def count_samples(path: Path) -> int:
    """Returns how many samples a file of the store holds."""
    num_samples: int = pq.read_metadata(path).num_rows
    return num_samples


def read_samples(path: Path, subject_id: str | None = None, *, sample_ids: list[str] | None = None) -> Samples:
    """Returns a store file's samples in its order: all, one subject's, or those of these ids.

    A subject's samples are found however the file composes the letters of the name.
    """
    chosen = None if subject_id is None else pc.field("subject_id").isin(_find_spellings(path, subject_id))
    if sample_ids is not None:
        chosen = pc.field("sample_id").isin(pa.array(sample_ids, pa.string()))
    return _read_table(pq.read_table(path, filters=chosen))


def _find_spellings(path: Path, subject_id: str) -> pa.Array:
    """Returns the spellings of one name that a store file has (Arrow's `utf8_normalize` does not compose)."""
    people = pc.unique(pq.read_table(path, columns=["subject_id"]).column("subject_id")).to_pylist()
    asked = normalise(subject_id)
    return pa.array([person for person in people if normalise(person) == asked], pa.string())


def read_in_groups(path: Path) -> Iterator[Samples]:
    """Yields what `write_samples` wrote, some rows at a time: no more is held in memory than one of these parts."""
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            yield _read_table(file.read_row_group(number))


def read_ids(path: Path) -> list[str]:
    """Returns the ids of the samples in a store file, in its order."""
    ids: list[str] = pq.read_table(path, columns=["sample_id"]).column("sample_id").to_pylist()
    return ids


def _read_table(content: pa.Table) -> Samples:
    table = content.combine_chunks()
    metadata = table.schema.metadata
    dtype, shape = np.dtype(metadata[b"dtype"].decode()), json.loads(metadata[b"shape"])
    column = table.column("payload").combine_chunks()
    row_size = int(np.prod(shape))
    payload_bytes = column.buffers()[1] if len(column) else b""
    first = column.offset * row_size * dtype.itemsize
    payloads = np.frombuffer(payload_bytes, dtype, len(column) * row_size, first).reshape(len(column), *shape)
    return Samples(
        np.array(table.column("sample_id").to_pylist(), dtype=np.str_),
        np.array(table.column("subject_id").to_pylist(), dtype=np.str_),
        torch.from_numpy(table.column("label").to_numpy().copy()),
        torch.from_numpy(payloads.copy()),
    )
