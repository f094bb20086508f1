"""Pictures that are looked for, and every way in which a copy of one may be packed."""

import base64
import bz2
import gzip
import hashlib
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from amun.scan.content import Finding, scan_bytes
from amun.scan.fingerprint import IMAGE, Fingerprint
from amun.scan.hashing import WindowHash
from amun.scan.matcher import Matcher, WholeFile
from amun.scan.taking import FingerprintTaker

HASH = WindowHash.derive(b"k" * 32)
Pack = Callable[[bytes], bytes]


def draw(*shape: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Returns pixels of 16 levels that say nothing: whatever compresses them leaves no byte as it was."""
    return np.random.default_rng(seed).integers(0, 16, shape, dtype=np.uint8) * np.uint8(17)


def take(payloads: npt.NDArray[Any], kind: int = IMAGE) -> Fingerprint:
    """Returns the fingerprint of payloads (N, ...)."""
    taker = FingerprintTaker(HASH)
    taker.add_payloads(kind, payloads)
    return taker.finish()


def look(payloads: npt.NDArray[Any], content: bytes, kind: int = IMAGE) -> Finding:
    """Returns what a content has of these payloads."""
    return scan_bytes(Matcher(HASH, [take(payloads, kind)]), content)


def name_whole(label: str, content: bytes) -> WholeFile:
    """Returns a content as a file that is looked for as a whole."""
    return WholeFile(label, len(content), hashlib.md5(content, usedforsecurity=False).hexdigest())


def pack_zip(content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Returns a zip file with the content and another entry."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("readme.txt", "nothing " * 1000)
        archive.writestr("data", content)
    return file.getvalue()


def pack_tar(content: bytes) -> bytes:
    """Returns a tar file with the content."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        entry = tarfile.TarInfo("data")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def pack_parquet(content: bytes, **options: Any) -> bytes:
    """Returns a Parquet file with the content as a value between others."""
    file = io.BytesIO()
    values = [b"other" * 100, content, b"another"]
    table = pa.table({"id": [1, 2, 3], "image": [{"bytes": value, "path": None} for value in values]})
    pq.write_table(table, file, **options)
    return file.getvalue()


def pack_zstd(content: bytes) -> bytes:
    """Returns the content compressed by Zstandard."""
    file = pa.BufferOutputStream()
    with pa.CompressedOutputStream(file, "zstd") as stream:
        stream.write(content)
    packed: bytes = file.getvalue().to_pybytes()
    return packed


PACKS: dict[str, Pack] = {
    "plain": bytes,
    "zip": pack_zip,
    "stored zip": lambda content: pack_zip(content, zipfile.ZIP_STORED),
    "gzip": gzip.compress,
    "two gzip members": lambda content: gzip.compress(b"first") + gzip.compress(content),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": pack_zstd,
    "tar": pack_tar,
    "parquet": pack_parquet,
    "parquet by zstd": lambda content: pack_parquet(content, compression="zstd"),
    "parquet in clear": lambda content: pack_parquet(content, compression="none", use_dictionary=False),
    "base64": base64.b64encode,
    "base64 for addresses": base64.urlsafe_b64encode,
    "base64 in lines": base64.encodebytes,
    "base64 in JSON": lambda content: b'{"image":"' + base64.b64encode(content) + b'","label":7}',
    "base64 after letters": lambda content: b"abc" + base64.b64encode(content),
}
