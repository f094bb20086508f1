"""What has contents of its own that cannot be seen in its bytes: archives, compressed files, Parquet.

All are told by how they begin. Contents are streams: of what is decoded no more is held in memory than the reader
takes, but for an archive in another one, in which nobody can go back and forth.
"""

import bz2
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
from isal import igzip, isal_zlib

Opener = Callable[[], AbstractContextManager[IO[bytes]]]

HEAD_BYTES = 512
MAX_NESTED = 256 << 20  # bytes of an archive in another one
_PARQUET_BYTES = 16 << 20  # of a column that are decoded at once
_ENCRYPTED = 1  # a flag of a zip file's entry
_PLAIN_ENCODINGS = {"PLAIN", "RLE", "BIT_PACKED"}
_PARQUET = b"PAR1"
# what the decoders raise on damaged content
DAMAGED: tuple[type[Exception], ...] = (
    OSError, EOFError, ValueError, LookupError, RuntimeError, NotImplementedError, MemoryError,
    zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, pa.ArrowException,
    cast(type[Exception], isal_zlib.error),
)  # fmt: skip


class SealedContentError(ValueError):
    """A content that nobody can look into: it is encrypted, or too large where it lies."""


@dataclass(frozen=True)
class Part:
    """One content of a container.

    Attributes:
        open_content: opens it, anew each time.
        is_seen: its bytes lie in the container as they are, one after the other.
        size: of it, in bytes, where the container says that.
    """

    open_content: Opener
    is_seen: bool = False
    size: int = 0


def find_decoder(head: bytes) -> Callable[[Opener], Iterator[Part]] | None:
    """Returns what takes apart a content that begins so; None where its bytes are all there is to see."""
    for magic, decode in _STREAMS.items():
        if magic.match(head):
            return partial(_list_stream, decode)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _list_zip
    if head.startswith(_PARQUET):
        return _list_parquet
    return _list_tar if head[257:262] == b"ustar" else None


def _open_gzip(file: IO[bytes]) -> IO[bytes]:
    return cast(IO[bytes], cast(Any, igzip).IGzipFile(fileobj=file))


def _open_zstd(file: IO[bytes]) -> IO[bytes]:
    stream: IO[bytes] = pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd")
    return stream


Decode = Callable[[IO[bytes]], IO[bytes]]
_STREAMS: dict[re.Pattern[bytes], Decode] = {
    re.compile(rb"\x1f\x8b\x08"): _open_gzip,
    re.compile(rb"BZh[1-9]1AY&SY"): bz2.BZ2File,
    re.compile(rb"\xfd7zXZ\x00"): lzma.LZMAFile,
    re.compile(rb"\x28\xb5\x2f\xfd"): _open_zstd,
}


def _list_stream(decode: Decode, open_content: Opener) -> Iterator[Part]:
    @contextmanager
    def open_decoded() -> Iterator[IO[bytes]]:
        with open_content() as file:
            yield forward(decode(file))

    yield Part(open_decoded)


def forward(stream: IO[bytes]) -> IO[bytes]:
    """Returns a stream that goes forward alone: going back in a decoded one would decode all anew."""
    return cast(IO[bytes], _Forward(stream))


class _Forward(io.RawIOBase):
    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(size)

    def readinto(self, room: Any) -> int:
        content = self._stream.read(len(room))
        room[: len(content)] = content
        return len(content)


@contextmanager
def _open_seekable(open_content: Opener) -> Iterator[IO[bytes]]:
    """Opens a content in which one can go back and forth.

    Raises:
        SealedContentError: it lies in another container, and is too large to be held in memory.
    """
    with open_content() as file:
        if file.seekable():
            yield file
            return
        content = file.read(MAX_NESTED + 1)
        if len(content) > MAX_NESTED:
            raise SealedContentError(f"an archive in another one has more than {MAX_NESTED >> 20} MiB")
        yield io.BytesIO(content)


def _list_zip(open_content: Opener) -> Iterator[Part]:
    with _open_seekable(open_content) as file, zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            if entry.flag_bits & _ENCRYPTED:
                raise SealedContentError("an entry is encrypted")
            if not entry.is_dir():
                yield Part(_open_entry(archive, entry), entry.compress_type == zipfile.ZIP_STORED, entry.file_size)


def _open_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Opener:
    @contextmanager
    def open_entry() -> Iterator[IO[bytes]]:
        with archive.open(entry) as stream:
            yield stream if entry.compress_type == zipfile.ZIP_STORED else forward(stream)

    return open_entry


def _list_tar(open_content: Opener) -> Iterator[Part]:
    with _open_seekable(open_content) as file, tarfile.open(fileobj=file, mode="r:") as archive:
        for entry in archive:
            if (stream := archive.extractfile(entry)) is not None and not entry.islnk():
                yield Part(_rewind(stream), is_seen=True, size=entry.size)


def _rewind(stream: IO[bytes]) -> Opener:
    @contextmanager
    def open_again() -> Iterator[IO[bytes]]:
        stream.seek(0)
        yield stream

    return open_again


def _list_parquet(open_content: Opener) -> Iterator[Part]:
    """Yields the values of each column that does not show them in its pages, a part of the rows at a time."""
    with _open_seekable(open_content) as file:
        parquet = pq.ParquetFile(file)
        metadata: Any = parquet.metadata
        for group in range(metadata.num_row_groups):
            rows = metadata.row_group(group)
            for place in range(rows.num_columns):
                column = rows.column(place)
                if column.compression == "UNCOMPRESSED" and _PLAIN_ENCODINGS.issuperset(column.encodings):
                    continue
                row_bytes = max(1, column.total_uncompressed_size // max(1, rows.num_rows))
                batches = parquet.iter_batches(
                    max(1, _PARQUET_BYTES // row_bytes), row_groups=[group], columns=[column.path_in_schema]
                )
                for batch in batches:
                    yield from _list_buffers(batch)


def _list_buffers(batch: Any) -> Iterator[Part]:
    for array in batch.columns:
        for buffer in array.buffers():
            if buffer is not None:
                yield Part(partial(pa.BufferReader, buffer))
