"""Rows of a sealed store file, opened one by one where they lie: what is opened is in memory alone, and is not kept."""

import json
import os
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from amun.core.errors import AmunError, DamagedError
from amun.store.alike import digest_pictures
from amun.store.encoded import EncodedForm, read_digests
from amun.store.pages import Offsets
from amun.vault.seal import LABEL, TAG_BYTES, Bytes, Content, open_contents, open_rows
from amun.vault.wrapping import SubjectKey

Strings = npt.NDArray[np.str_]


class SealedRows:
    """N rows of a sealed file; a copy of this process, and each thread, may open them at the same time."""

    def __init__(
        self,
        path: Path,
        content: Content,
        sample_ids: Strings,
        keys: Sequence[SubjectKey | None],
        offsets: Offsets,
        sizes: Offsets | None = None,
        encoded: EncodedForm | None = None,
    ) -> None:
        """Opens the file; what lies there may get another name, or lose its name, meanwhile.

        Args:
            path: of the file.
            content: what its payloads are.
            sample_ids: (N,).
            keys: (N,) of the samples' subjects.
            offsets: (N,) at which byte of the file each sealed row begins.
            sizes: (N,) how many bytes each has, where they have not all the same.
            encoded: the form of payloads that are kept as image files.
        """
        self._path = path
        self._content = content
        self._dtype, self._shape = np.dtype(content.dtype), tuple(json.loads(content.shape))
        self._sample_ids = sample_ids
        self._keys = keys
        self._offsets, self._sizes = offsets, np.empty(0, np.int64) if sizes is None else sizes
        self._encoded = encoded
        # read by place, not mapped: of a file cut off meanwhile that is an error, and no signal that kills
        self._descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    def __len__(self) -> int:
        return len(self._sample_ids)

    def open(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Returns the payloads of these rows (B,), in this order, as their shape and dtype are.

        Raises:
            AmunError: a subject's key is not there, or the disk does not give a row.
            DamagedError: a row is not what was sealed as this sample's.
        """
        if self._encoded is not None:
            return self._encoded.decode(self._sample_ids[rows].tolist(), self._open_each(rows))
        keys, sample_ids = [self._keys[row] for row in rows], self._sample_ids[rows].tolist()
        _, opened = open_rows(keys, self._content, sample_ids, self._read(rows))
        payloads: npt.NDArray[Any] = np.ascontiguousarray(opened).reshape(-1).view(self._dtype)
        return payloads.reshape(len(rows), *self._shape)

    def digest(self, rows: npt.NDArray[np.int64]) -> list[bytes]:
        """Returns the digests of the pixels of these rows (B,); no image file is decoded. Raises as `open`."""
        return digest_pictures(self.open(rows)) if self._encoded is None else read_digests(self._open_each(rows))

    def _open_each(self, rows: npt.NDArray[np.int64]) -> list[bytes]:
        """Returns the opened bytes of rows that have not all the same length."""
        keys, sample_ids = [self._keys[row] for row in rows], self._sample_ids[rows].tolist()
        return open_contents(keys, self._content, sample_ids, self._read_each(rows))[1]

    def _read(self, rows: npt.NDArray[np.int64]) -> Bytes:
        """Returns the sealed bytes (B, ...) of these rows."""
        size = LABEL.itemsize + self._dtype.itemsize * int(np.prod(self._shape)) + TAG_BYTES
        sealed = np.empty((len(rows), size), np.uint8)
        for into, offset in zip(sealed, self._offsets[rows].tolist(), strict=True):
            self._read_into(into.data, offset)
        return sealed

    def _read_each(self, rows: npt.NDArray[np.int64]) -> list[bytearray]:
        """Returns the sealed bytes of each of these rows."""
        sealed = [bytearray(size) for size in self._sizes[rows].tolist()]
        for into, offset in zip(sealed, self._offsets[rows].tolist(), strict=True):
            self._read_into(memoryview(into), offset)
        return sealed

    def _read_into(self, into: memoryview, offset: int) -> None:
        """Fills a buffer with bytes of the file from an offset on.

        Raises:
            AmunError: the disk does not give them.
            DamagedError: the file ends before.
        """
        try:
            num_read = os.preadv(self._descriptor, [into], offset)
        except OSError as error:
            raise AmunError(
                f"{self._path} cannot be read: {error.strerror}; see to the disk or the share that it lies on, "
                "then bring it back (`dvc checkout --force`)"
            ) from None
        if num_read != into.nbytes:
            raise DamagedError(f"{self._path} has been cut off; bring it back (`dvc checkout --force`)")
