"""The rows of a store file, as Parquet keeps them: sealed, or in clear as earlier versions wrote them.

In a file a value stands in a data page and nowhere else: what copies or shows a file's metadata has nothing of anybody.
A sealed file has people's keyed ids, and labels and payloads that open with their keys alone; its footer is signed.
"""

import hmac
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from amun.core.errors import AmunError, DamagedError, join_lines
from amun.store.pages import locate_values
from amun.store.sealed_rows import SealedRows
from amun.vault.seal import LABEL, TAG_BYTES, Bytes, Content, Labels, Seal, open_rows, seal_rows, sign_file
from amun.vault.vault import open_vault
from amun.vault.wrapping import SubjectKey

Strings = npt.NDArray[np.str_]
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]
Payloads = npt.NDArray[Any]

# keys of a sealed file's footer
_KIND, _CONTEXT, _NUM_CLASSES, _SIGNATURE = b"kind", b"context", b"num_classes", b"signature"


@dataclass(frozen=True)
class Rows:
    """N rows of a store file.

    Attributes:
        sample_ids: (N,) keyed ids.
        subject_ids: (N,) whose they are.
        labels: (N,) classes.
        payloads: (N, ...).
    """

    sample_ids: Strings
    subject_ids: Strings
    labels: Labels
    payloads: Payloads


class RowWriter:
    """Writes a store file, a row group at a time."""

    def __init__(self, path: Path, kind: str, seal: Seal | None, like: Payloads) -> None:
        """Opens the file.

        Args:
            path: its place.
            kind: what its payloads are.
            seal: under which they are sealed, if they are.
            like: payloads of the shape and dtype that all of them have.
        """
        self._seal = seal
        self._content = Content(kind, "" if seal is None else seal.context, str(like.dtype), json.dumps(like.shape[1:]))
        self._keys: dict[str, SubjectKey] = {}
        self._ids: list[tuple[str, str]] = []
        self._num_classes = 0
        self._row_bytes = like.itemsize * int(np.prod(like.shape[1:]))
        strings = [pa.field("sample_id", pa.string()), pa.field("subject_id", pa.string())]
        metadata = {"dtype": self._content.dtype, "shape": self._content.shape}
        if seal is None:
            fields = [*strings, pa.field("label", pa.int64()), pa.field("payload", pa.binary(self._row_bytes))]
        else:
            self._row_bytes += LABEL.itemsize + TAG_BYTES
            fields = [*strings, pa.field("payload", pa.binary(self._row_bytes))]
            metadata |= {_KIND.decode(): kind, _CONTEXT.decode(): seal.context}
        self._writer = pq.ParquetWriter(
            path,
            pa.schema(fields, metadata),
            # what is sealed is as good as random
            compression="zstd" if seal is None else {"sample_id": "zstd", "subject_id": "zstd", "payload": "none"},
            # Statistics are the smallest and the largest value, in clear in footer and page headers: two people's
            # ids and images. A dictionary is a second place for values, and most of these stand once anyway.
            write_statistics=False,
            use_dictionary=False,
        )

    def append(self, rows: Rows) -> None:
        """Writes a row group.

        Raises:
            InputError, AmunError: the subjects' keys cannot be had.
        """
        num_rows = len(rows.sample_ids)
        row_size = rows.payloads[:1].nbytes
        payloads: Bytes = np.ascontiguousarray(rows.payloads).reshape(-1).view(np.uint8).reshape(num_rows, row_size)
        columns = [pa.array(rows.sample_ids.tolist(), pa.string())]
        if self._seal is None:
            columns += [pa.array(rows.subject_ids.tolist(), pa.string()), pa.array(rows.labels, pa.int64())]
        else:
            keys = self._provide_keys(self._seal, rows)
            payloads = seal_rows(keys, self._content, rows.sample_ids.tolist(), rows.labels, payloads)
            columns.append(pa.array([key.subject for key in keys], pa.string()))
            self._ids += [(one, key.subject) for one, key in zip(rows.sample_ids.tolist(), keys, strict=True)]
            self._num_classes = max(self._num_classes, int(rows.labels.max(initial=-1)) + 1)
        buffers = [None, pa.py_buffer(payloads)]
        columns.append(pa.FixedSizeBinaryArray.from_buffers(pa.binary(self._row_bytes), num_rows, buffers))
        table = pa.Table.from_arrays(columns, schema=self._writer.schema)
        self._writer.write_table(table, row_group_size=max(1, num_rows))

    def finish(self) -> None:
        """Ends the file; a sealed one is signed."""
        if self._seal is not None:
            sample_ids, subjects = [one for one, _ in self._ids], [subject for _, subject in self._ids]
            own_key = self._seal.vault.own_key
            signature = sign_file(own_key, self._content, self._num_classes, sample_ids, subjects)
            told = {_NUM_CLASSES.decode(): str(self._num_classes), _SIGNATURE.decode(): signature}
            self._writer.add_key_value_metadata(told)
        self.close()

    def close(self) -> None:
        """Closes the file as it is."""
        self._writer.close()

    def _provide_keys(self, seal: Seal, rows: Rows) -> list[SubjectKey]:
        names = rows.subject_ids.tolist()
        if missing := {name for name in names if name not in self._keys}:
            self._keys |= seal.vault.provide_keys(missing)
        return [self._keys[name] for name in names]


def is_sealed(path: Path) -> bool:
    """Tells whether a store file's rows are sealed.

    Raises:
        DamagedError: the file is damaged.
    """
    with _translate_errors(path):
        return _SIGNATURE in (pq.read_metadata(path).metadata or {})


class RowReader:
    """Reads a store file.

    Attributes:
        sample_ids: (N,) of all rows.
        subjects: (N,) as the file has them: keyed ids where it is sealed, else names.
        num_classes: one more than the largest label; 0 where there is no row.
        dtype: of the payloads; shape: of one.
    """

    def __init__(self, path: Path) -> None:
        """Opens the file.

        Raises:
            InputError, AmunError: it is sealed, and the key store cannot be had.
            DamagedError: it is no store file, or the footer is not what was signed.
        """
        self._path = path
        with _translate_errors(self._path):
            self._file = pq.ParquetFile(path)
            self._told: dict[bytes, bytes] = self._file.metadata.metadata
            self.dtype, self.shape = np.dtype(self._told[b"dtype"].decode()), tuple(json.loads(self._told[b"shape"]))
            ids = self._file.read(columns=["sample_id", "subject_id"])
            self.sample_ids: Strings = np.array(ids.column("sample_id").to_pylist(), dtype=np.str_)
            self.subjects: list[str] = ids.column("subject_id").to_pylist()
            self._content = None
            if "label" not in self._file.schema_arrow.names:
                kind, context, dtype, shape = (
                    self._told[key].decode() for key in (_KIND, _CONTEXT, b"dtype", b"shape")
                )
                self._vault, self._content = open_vault(), Content(kind, context, dtype, shape)
                self._require_signature(self._content)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self.subjects)

    @property
    def row_bytes(self) -> int:
        """Bytes of one payload, opened."""
        return int(self.dtype.itemsize * np.prod(self.shape))

    @property
    def is_sealed(self) -> bool:
        """Whether the file's rows are sealed."""
        return self._content is not None

    @cached_property
    def num_classes(self) -> int:
        """One more than the largest label; 0 where there is no row."""
        if self._content is not None:
            return int(self._told[_NUM_CLASSES])
        labels: Labels = self._file.read(columns=["label"]).column("label").to_numpy()
        return int(labels.max(initial=-1)) + 1

    @cached_property
    def _keys(self) -> dict[str, SubjectKey]:
        """The keys of all people in a sealed file, of those who have one."""
        return self._vault.find_keys(self.subjects)

    def read_subject_ids(self) -> Strings:
        """Returns (N,) whose each row is; the keyed id where the name is known no more."""
        if self._content is None:
            return np.array(self.subjects, dtype=np.str_)
        return _name(self.subjects, self._keys)

    def find_erased(self) -> Mask:
        """Returns (N,) bool: of which rows the subject has no key, so that nobody can open them any more."""
        if self._content is None:
            return np.zeros(len(self), dtype=np.bool_)
        return np.array([subject not in self._keys for subject in self.subjects], dtype=np.bool_)

    def read(self, is_chosen: Mask) -> Rows:
        """Returns the rows where `is_chosen` (N,) is true; no other one is opened.

        Raises:
            AmunError: a row cannot be opened, or is not what was sealed.
        """
        parts = list(self.read_groups(is_chosen))
        if not parts:
            none = np.empty((0, *self.shape), self.dtype)
            return Rows(self.sample_ids[:0], self.sample_ids[:0], np.empty(0, np.int64), none)
        return Rows(
            *(np.concatenate(columns) for columns in zip(*(vars(part).values() for part in parts), strict=True))
        )

    def read_groups(self, is_chosen: Mask) -> Iterator[Rows]:
        """Yields the chosen rows (N,) of each row group that has some.

        Raises:
            AmunError: as `read`.
        """
        keys: dict[str, SubjectKey] = {}
        if self._content is not None:
            keys = self._vault.find_keys(self.subjects[row] for row in np.flatnonzero(is_chosen))
        first = 0
        for number in range(self._file.num_row_groups):
            end = first + self._file.metadata.row_group(number).num_rows
            places = np.flatnonzero(is_chosen[first:end])
            if len(places):
                labels, payloads = self._read_group(number, first, places, keys)
                rows = first + places
                subjects = [self.subjects[row] for row in rows]
                yield Rows(self.sample_ids[rows], _name(subjects, keys), labels, payloads)
            first = end

    def locate(self, is_chosen: Mask) -> SealedRows:
        """Returns the chosen rows (N,) of a sealed file where they are, to be opened one by one.

        Raises:
            AmunError: the file is in clear.
            DamagedError: the file is damaged.
        """
        if self._content is None:
            raise AmunError(f"{self._path}: rows in clear are not opened one by one")
        chosen = np.flatnonzero(is_chosen)
        keys = self._vault.find_keys(self.subjects[row] for row in chosen)
        found = [keys.get(self.subjects[row]) for row in chosen]
        with _translate_errors(self._path):
            offsets = locate_values(self._path, self._file.metadata, self._file.schema_arrow.names.index("payload"))
        return SealedRows(self._path, self._content, self.sample_ids[chosen], found, offsets[chosen])

    def read_sealed(self, is_chosen: Mask) -> Iterator[bytes]:
        """Yields the chosen rows (N,) of a sealed file as they are stored, whether anybody can open them or not.

        Raises:
            AmunError: the file is damaged.
        """
        first = 0
        for number in range(self._file.num_row_groups if self._content is not None else 0):
            end = first + self._file.metadata.row_group(number).num_rows
            if is_chosen[first:end].any():
                with _translate_errors(self._path):
                    column = self._file.read_row_group(number, columns=["payload"]).column("payload")
                yield from (column[int(place)].as_py() for place in np.flatnonzero(is_chosen[first:end]))
            first = end

    def _read_group(
        self, number: int, first: int, places: Indices, keys: Mapping[str, SubjectKey]
    ) -> tuple[Labels, Payloads]:
        """Returns labels and payloads of the rows at these places of a row group, which begins with row `first`."""
        with _translate_errors(self._path):
            table = self._file.read_row_group(number, columns=["label", "payload"]).combine_chunks()
            column = table.column("payload").combine_chunks()
            size = column.type.byte_width
        stored = column.buffers()[1] if len(column) else b""
        rows = np.frombuffer(stored, np.uint8, len(column) * size, column.offset * size).reshape(len(column), size)
        if self._content is None:
            return table.column("label").to_numpy()[places], self._shape(rows[places])
        sample_ids, subjects = self.sample_ids[first + places].tolist(), self.subjects
        found = [keys.get(subjects[first + place]) for place in places]
        labels, opened = open_rows(found, self._content, sample_ids, rows[places])
        return labels, self._shape(opened)

    def _shape(self, rows: Bytes) -> Payloads:
        """Returns payloads (N, ...) from their bytes (N, B)."""
        payloads: Payloads = np.ascontiguousarray(rows).reshape(-1).view(self.dtype).reshape(len(rows), *self.shape)
        return payloads

    def _require_signature(self, content: Content) -> None:
        expected = sign_file(
            self._vault.own_key, content, int(self._told[_NUM_CLASSES]), self.sample_ids.tolist(), self.subjects
        )
        if not hmac.compare_digest(expected, self._told[_SIGNATURE].decode()):
            raise DamagedError(
                f"{self._path} is not what was written, or was written with another key store; bring it back "
                "(`dvc checkout --force`), or name its key store in AMUN_KEYS_URL"
            )


@contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    """Says of a damaged file that it is one."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, ValueError, TypeError, LookupError) as error:
        reason = join_lines(error)[:200]
        raise DamagedError(f"{path} is damaged: {reason}; bring it back (`dvc checkout --force`)") from None


def _name(subjects: list[str], keys: Mapping[str, SubjectKey]) -> Strings:
    """Returns people's names (N,); the keyed id of whoever has no key."""
    return np.array([keys[one].name if one in keys else one for one in subjects], dtype=np.str_)
