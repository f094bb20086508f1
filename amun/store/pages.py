"""Where each value of a Parquet column lies in its file: what pyarrow does not tell, and reading at random needs.

Source: Parquet's format (parquet.thrift, Encodings.md) and Thrift's compact protocol. Of the many ways to lay out a
column two are read, as the sample store writes sealed payloads: values without nulls, PLAIN, not compressed, in data
pages of version 1. Of a fixed size they stand one after the other at the end of a page. Of any length each follows upon
its length, and a page has nothing else, for their column may have no nulls.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

Offsets = npt.NDArray[np.int64]

# a page's header without statistics takes about 20 bytes
_HEADER_BYTES = 256
_DATA_PAGE, _PLAIN = 0, 0  # of the page types, and of the encodings
# types of fields in Thrift's compact protocol
_INT32, _STRUCT = 5, 12
# numbers of fields: of a page's header, and of what it has of a data page
_TYPE, _STORED_SIZE, _DATA_PAGE_HEADER = 1, 3, 5
_NUM_VALUES, _ENCODING = 1, 2
_LENGTH_BYTES = 4  # before a value of any length, little-endian

Fields = dict[int, "int | Fields"]


def locate_values(path: Path, metadata: pq.FileMetaData, column: int) -> Offsets:
    """Returns (N,) int64 at which byte of a file each value of a column begins.

    Args:
        path: of the file.
        metadata: its footer.
        column: the column's number.

    Raises:
        ValueError: the column is laid out otherwise, or the file is damaged.
        OSError: it cannot be read.
    """
    groups = [metadata.row_group(number).column(column) for number in range(metadata.num_row_groups)]
    size = metadata.schema.column(column).length
    with path.open("rb") as file:
        pages = [page for group in groups for page in _list_pages(file.fileno(), group)]
    if any(page.num_values * size > page.end - page.start for page in pages):
        raise ValueError("a page has not the length of its values")
    places = [np.arange(page.num_values, dtype=np.int64) * size + (page.end - page.num_values * size) for page in pages]
    return np.concatenate([*places, np.empty(0, np.int64)])


def locate_contents(path: Path, metadata: pq.FileMetaData, column: int) -> tuple[Offsets, Offsets]:
    """Returns (N,) int64 at which byte of a file each value of any length begins, and (N,) how many bytes it has.

    Args and errors are those of `locate_values`.
    """
    groups = [metadata.row_group(number).column(column) for number in range(metadata.num_row_groups)]
    if metadata.schema.column(column).max_definition_level:
        raise ValueError("a column may have nulls")
    with path.open("rb") as file:
        found = [
            value
            for group in groups
            for page in _list_pages(file.fileno(), group)
            for value in _walk_page(file.fileno(), page)
        ]
    offsets, sizes = np.array(found, np.int64).reshape(-1, 2).T
    return offsets, sizes


class _Page(NamedTuple):
    """A page without its header: where it begins and ends, and how many values it has."""

    start: int
    end: int
    num_values: int


def _walk_page(descriptor: int, page: _Page) -> Iterator[tuple[int, int]]:
    """Yields where each value of any length begins, and how many bytes it has."""
    place = page.start
    for _ in range(page.num_values):
        size = int.from_bytes(os.pread(descriptor, _LENGTH_BYTES, place), "little")
        place += _LENGTH_BYTES
        yield place, size
        place += size
        if place > page.end:
            raise ValueError("a value ends behind its page")


def _list_pages(descriptor: int, group: pq.ColumnChunkMetaData) -> list[_Page]:
    """Returns the pages of a column in one row group."""
    if group.compression != "UNCOMPRESSED" or group.has_dictionary_page:
        raise ValueError(f"a column is compressed ({group.compression}) or has a dictionary")
    start, end = group.data_page_offset, group.data_page_offset + group.total_compressed_size
    pages = []
    while start < end:
        header = os.pread(descriptor, _HEADER_BYTES, start)
        fields, length = _Thrift(header).read()
        page = fields[_DATA_PAGE_HEADER]
        if fields[_TYPE] != _DATA_PAGE or not isinstance(page, dict) or page[_ENCODING] != _PLAIN:
            raise ValueError("a column has pages of another kind")
        stored, num_values = fields[_STORED_SIZE], page[_NUM_VALUES]
        if not isinstance(stored, int) or not isinstance(num_values, int) or num_values < 0 or stored < 0:
            raise ValueError("a page has not the length of its values")
        pages.append(_Page(start + length, start + length + stored, num_values))
        start += length + stored
    if sum(page.num_values for page in pages) != group.num_values:
        raise ValueError("a column has other pages than its footer says")
    return pages


@dataclass
class _Thrift:
    """Reads a struct of whole numbers and structs of these: all that a page's header has."""

    header: bytes
    place: int = 0

    def read(self) -> tuple[Fields, int]:
        """Returns its fields by their number, and the bytes that it takes."""
        return self._read_struct(), self.place

    def _read_struct(self) -> Fields:
        fields: Fields = {}
        number = 0
        while byte := self._read_byte():
            # a field's number is told by how much it is more than the last one; of 0, by itself
            number = number + (byte >> 4) if byte >> 4 else self._read_int()
            kind = byte & 15
            if kind not in (_INT32, _STRUCT):
                raise ValueError(f"a page's header has a field of kind {kind}")
            fields[number] = self._read_int() if kind == _INT32 else self._read_struct()
        return fields

    def _read_int(self) -> int:
        value = shift = 0
        while (byte := self._read_byte()) & 128:
            value |= (byte & 127) << shift
            shift += 7
        value |= byte << shift
        return (value >> 1) ^ -(value & 1)

    def _read_byte(self) -> int:
        self.place += 1
        return self.header[self.place - 1]
