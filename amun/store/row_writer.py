"""Writes the rows of a store file, sealed or in clear; see `rows`, which reads them."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from amun.store.encoded import EncodedForm
from amun.store.rows import CONTEXT, ENCODED, KIND, NUM_CLASSES, SIGNATURE, Payloads, Rows
from amun.vault.seal import LABEL, TAG_BYTES, Bytes, Content, Seal, seal_contents, seal_rows, sign_file
from amun.vault.wrapping import SubjectKey


class RowWriter:
    """Writes a store file, a row group at a time."""

    def __init__(
        self, path: Path, kind: str, seal: Seal | None, like: Payloads, encoded: EncodedForm | None = None
    ) -> None:
        """Opens the file.

        Args:
            path: its place.
            kind: what its payloads are.
            seal: under which they are sealed, if they are.
            like: payloads of the shape and dtype that all of them have.
            encoded: the form of payloads that are kept as image files; None where they are kept as they are.
        """
        self._seal, self._encoded = seal, encoded
        context, form = "" if seal is None else seal.context, "" if encoded is None else encoded.describe()
        self._content = Content(kind, context, str(like.dtype), json.dumps(like.shape[1:]), form)
        self._keys: dict[str, SubjectKey] = {}
        self._ids: list[tuple[str, str]] = []
        self._num_classes = 0
        self._writer = self._open(path, like.itemsize * int(np.prod(like.shape[1:])))

    def _open(self, path: Path, payload_bytes: int) -> pq.ParquetWriter:
        """Opens the file; payloads have so many bytes where they are kept as they are."""
        strings = [pa.field("sample_id", pa.string()), pa.field("subject_id", pa.string())]
        metadata = {"dtype": self._content.dtype, "shape": self._content.shape}
        if self._seal is None:
            strings.append(pa.field("label", pa.int64()))
        else:
            payload_bytes += LABEL.itemsize + TAG_BYTES
            metadata |= {KIND.decode(): self._content.kind, CONTEXT.decode(): self._content.context}
        if self._encoded is None:
            fields = [*strings, pa.field("payload", pa.binary(payload_bytes))]
        else:
            fields = [*strings, pa.field("payload", pa.binary(), nullable=False)]
            metadata[ENCODED.decode()] = self._content.form
        return pq.ParquetWriter(
            path,
            pa.schema(fields, metadata),
            # what is sealed is as good as random
            compression={"sample_id": "zstd", "subject_id": "zstd", "payload": "none"} if self._seal else "zstd",
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
        columns = [pa.array(rows.sample_ids.tolist(), pa.string())]
        if self._seal is None:
            columns += [pa.array(rows.subject_ids.tolist(), pa.string()), pa.array(rows.labels, pa.int64())]
            columns.append(self._pack(rows, None))
        else:
            keys = self._provide_keys(self._seal, rows)
            columns.append(pa.array([key.subject for key in keys], pa.string()))
            self._ids += [(one, key.subject) for one, key in zip(rows.sample_ids.tolist(), keys, strict=True)]
            self._num_classes = max(self._num_classes, int(rows.labels.max(initial=-1)) + 1)
            columns.append(self._pack(rows, keys))
        table = pa.Table.from_arrays(columns, schema=self._writer.schema)
        self._writer.write_table(table, row_group_size=max(1, len(rows.sample_ids)))

    def _pack(self, rows: Rows, keys: Sequence[SubjectKey] | None) -> pa.Array:
        """Returns the payloads as a column, sealed by the rows' keys (N,) where these are given."""
        num_rows, sample_ids = len(rows.sample_ids), rows.sample_ids.tolist()
        if self._encoded is not None:
            files = rows.files or [None] * num_rows
            contents = [self._encoded.pack(*one) for one in zip(rows.payloads, files, strict=True)]
            if keys is not None:
                contents = seal_contents(keys, self._content, sample_ids, rows.labels, contents)
            return pa.array(contents, pa.binary())
        row_bytes = rows.payloads[:1].nbytes
        payloads: Bytes = np.ascontiguousarray(rows.payloads).reshape(-1).view(np.uint8).reshape(num_rows, row_bytes)
        if keys is not None:
            payloads = seal_rows(keys, self._content, sample_ids, rows.labels, payloads)
        column_type = self._writer.schema.field("payload").type
        return pa.FixedSizeBinaryArray.from_buffers(column_type, num_rows, [None, pa.py_buffer(payloads)])

    def finish(self) -> None:
        """Ends the file; a sealed one is signed."""
        if self._seal is not None:
            sample_ids, subjects = [one for one, _ in self._ids], [subject for _, subject in self._ids]
            own_key = self._seal.vault.own_key
            signature = sign_file(own_key, self._content, self._num_classes, sample_ids, subjects)
            told = {NUM_CLASSES.decode(): str(self._num_classes), SIGNATURE.decode(): signature}
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
