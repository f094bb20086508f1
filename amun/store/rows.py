"""The rows of a store file, as Parquet keeps them: sealed, or in clear as earlier versions wrote them.

In a file a value stands in a data page and nowhere else: what copies or shows a file's metadata has nothing of anybody.
A sealed file has people's keyed ids, and labels and payloads that open with their keys alone; its footer is signed.
"""

import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
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
from amun.store.alike import digest_pictures
from amun.store.encoded import EncodedForm, read_digests
from amun.store.pages import locate_contents, locate_values
from amun.store.sealed_rows import SealedRows
from amun.vault.seal import Bytes, Content, Labels, open_contents, open_rows, sign_file
from amun.vault.vault import open_vault
from amun.vault.wrapping import SubjectKey

Strings = npt.NDArray[np.str_]
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]
Payloads = npt.NDArray[Any]

# keys of a footer; all but the first of a sealed file's alone
ENCODED, KIND, CONTEXT, NUM_CLASSES, SIGNATURE = b"encoded", b"kind", b"context", b"num_classes", b"signature"


@dataclass(frozen=True)
class Rows:
    """N rows of a store file.

    Attributes:
        sample_ids: (N,) keyed ids.
        subject_ids: (N,) whose they are.
        labels: (N,) classes.
        payloads: (N, ...).
        files: (N,) the image files of those that shall be kept as files, and None of all others; () where no file is
            kept. Rows that are read have none: `RowReader.read_files` gives them.
    """

    sample_ids: Strings
    subject_ids: Strings
    labels: Labels
    payloads: Payloads
    files: Sequence[bytes | None] = ()


def is_sealed(path: Path) -> bool:
    """Tells whether a store file's rows are sealed.

    Raises:
        DamagedError: the file is damaged.
    """
    with _translate_errors(path):
        return SIGNATURE in (pq.read_metadata(path).metadata or {})


class RowReader:
    """Reads a store file.

    Attributes:
        sample_ids: (N,) of all rows.
        subjects: (N,) as the file has them: keyed ids where it is sealed, else names.
        num_classes: one more than the largest label; 0 where there is no row.
        dtype: of the payloads; shape: of one.
        encoded: the form of payloads that are kept as image files; None where they are kept as they are.
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
            form, self.encoded, self._content = self._told.get(ENCODED, b"").decode(), None, None
            if "label" not in self._file.schema_arrow.names:
                kind, context, dtype, shape = (self._told[key].decode() for key in (KIND, CONTEXT, b"dtype", b"shape"))
                self._vault, self._content = open_vault(), Content(kind, context, dtype, shape, form)
                self._require_signature(self._content)
            if form:
                self.encoded = EncodedForm.parse(form, self.dtype, self.shape, str(path))

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
            return int(self._told[NUM_CLASSES])
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
            np.concatenate([part.sample_ids for part in parts]),
            np.concatenate([part.subject_ids for part in parts]),
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.payloads for part in parts]),
        )

    def read_groups(self, is_chosen: Mask) -> Iterator[Rows]:
        """Yields the chosen rows (N,) of each row group that has some.

        Raises:
            AmunError: as `read`.
        """
        for rows, subject_ids, labels, contents in self._open_groups(is_chosen):
            sample_ids = self.sample_ids[rows]
            yield Rows(sample_ids, subject_ids, labels, self._make_payloads(sample_ids, contents))

    def read_labels(self, is_chosen: Mask) -> Iterator[tuple[Strings, Labels]]:
        """Yields whose the chosen rows (N,) of each row group are, and their labels; no image file is decoded.

        Raises:
            AmunError: as `read`.
        """
        for _, subject_ids, labels, _ in self._open_groups(is_chosen):
            yield subject_ids, labels

    def read_files(self, is_chosen: Mask) -> Iterator[tuple[Strings, list[bytes | None]]]:
        """Yields ids and image files of the chosen rows (N,) of each row group, where files are kept; none is decoded.

        Raises:
            AmunError: as `read`.
        """
        if self.encoded is None:
            return
        for rows, _, _, contents in self._open_groups(is_chosen):
            if isinstance(contents, list):
                yield self.sample_ids[rows], self.encoded.find_files(contents)

    def read_pictures(self, is_chosen: Mask) -> Iterator[tuple[Strings, Strings, list[bytes]]]:
        """Yields ids, people and digests of the pixels of the chosen rows (N,) of each row group; none is decoded.

        Raises:
            AmunError: as `read`.
        """
        for rows, subject_ids, _, contents in self._open_groups(is_chosen):
            sample_ids = self.sample_ids[rows]
            if isinstance(contents, list):
                yield sample_ids, subject_ids, read_digests(contents)
            else:
                yield sample_ids, subject_ids, digest_pictures(self._make_payloads(sample_ids, contents))

    def _open_groups(self, is_chosen: Mask) -> Iterator[tuple[Indices, Strings, Labels, Bytes | list[bytes]]]:
        """Yields the places of the chosen rows (N,) of each row group, their people, labels and opened payloads."""
        keys: dict[str, SubjectKey] = {}
        if self._content is not None:
            keys = self._vault.find_keys(self.subjects[row] for row in np.flatnonzero(is_chosen))
        first = 0
        for number in range(self._file.num_row_groups):
            end = first + self._file.metadata.row_group(number).num_rows
            places = np.flatnonzero(is_chosen[first:end])
            if len(places):
                labels, contents = self._open_group(number, first, places, keys)
                rows = first + places
                yield rows, _name([self.subjects[row] for row in rows], keys), labels, contents
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
        column = self._file.schema_arrow.names.index("payload")
        with _translate_errors(self._path):
            if self.encoded is None:
                offsets, sizes = locate_values(self._path, self._file.metadata, column), None
            else:
                offsets, sizes = locate_contents(self._path, self._file.metadata, column)
        located = offsets[chosen], None if sizes is None else sizes[chosen]
        return SealedRows(self._path, self._content, self.sample_ids[chosen], found, *located, self.encoded)

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

    def _open_group(
        self, number: int, first: int, places: Indices, keys: Mapping[str, SubjectKey]
    ) -> tuple[Labels, Bytes | list[bytes]]:
        """Returns labels and opened payloads of the rows at these places of a row group, which begins with `first`."""
        with _translate_errors(self._path):
            table = self._file.read_row_group(number, columns=["label", "payload"]).combine_chunks()
            column = table.column("payload").combine_chunks()
            size = 0 if self.encoded else column.type.byte_width
        sample_ids = self.sample_ids[first + places].tolist()
        found = [keys.get(self.subjects[first + place]) for place in places]
        if self.encoded is not None:
            contents = [column[int(place)].as_py() for place in places]
            if self._content is None:
                return table.column("label").to_numpy()[places], contents
            return open_contents(found, self._content, sample_ids, contents)
        stored = column.buffers()[1] if len(column) else b""
        rows = np.frombuffer(stored, np.uint8, len(column) * size, column.offset * size).reshape(len(column), size)
        if self._content is None:
            return table.column("label").to_numpy()[places], rows[places]
        return open_rows(found, self._content, sample_ids, rows[places])

    def _make_payloads(self, sample_ids: Strings, contents: Bytes | list[bytes]) -> Payloads:
        """Returns payloads (N, ...) of the samples with these ids from their bytes (N, B), or from N image files."""
        if self.encoded is not None and isinstance(contents, list):
            return self.encoded.decode(sample_ids.tolist(), contents)
        payloads: Payloads = np.ascontiguousarray(contents).reshape(-1).view(self.dtype)
        return payloads.reshape(len(sample_ids), *self.shape)

    def _require_signature(self, content: Content) -> None:
        expected = sign_file(
            self._vault.own_key, content, int(self._told[NUM_CLASSES]), self.sample_ids.tolist(), self.subjects
        )
        if not hmac.compare_digest(expected, self._told[SIGNATURE].decode()):
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
