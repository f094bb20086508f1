"""Samples kept as the image files that they came in: how a row holds one, and how it becomes pixels again.

The pixels are those that `prepare` has seen, to the bit: the same function makes them of the same bytes. A row tells
its length even when it is sealed, and the lengths of a person's files together tell who it is to whoever has the files.
So rows are filled up with zeros to a power of two, or to the length of the pixels, which none is longer than.
"""

import io
import json
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from amun.core.errors import AmunError, DamagedError, join_lines
from amun.core.params import ImagesParams
from amun.core.processors import count_processors
from amun.store.alike import DIGEST_BYTES, Pixels, digest_pictures, read_image
from amun.store.pictures import ignore_warnings, open_picture

# a row begins with what it holds, how many bytes that takes, and the digest of the pixels, by which twins are found
_HEAD = struct.Struct(f"<BQ{DIGEST_BYTES}s")
_PIXELS, _FILE = 0, 1
IMAGES_A_TASK = 8
# The rules as they stand in a footer, by name. It is signed and cannot be changed afterwards: a rule that comes later
# is not in the files from before, and leaves their images as they are.
VERSION, NAMES = 1, ("colour", "size", "resize", "transparent")


@dataclass(frozen=True)
class EncodedForm:
    """The form of a store file's payloads that are image files, and how these become pixels.

    Attributes:
        rules: `data.images`, with the size that the images have.
        dtype: of the pixels.
        shape: of one image, (C, H, W).
    """

    rules: ImagesParams
    dtype: "np.dtype[Any]"
    shape: tuple[int, ...]

    @classmethod
    def choose(cls, rules: ImagesParams, pixels: Pixels) -> Self:
        """Returns the form of images that these rules have made: pixels (N, C, H, W)."""
        shape = tuple(pixels.shape[1:])
        return cls(rules.model_copy(update={"size": (shape[1], shape[2])}), pixels.dtype, shape)

    @classmethod
    def parse(cls, text: str, dtype: "np.dtype[Any]", shape: tuple[int, ...], name: str) -> Self:
        """Returns the form that `describe` has described, in a file of this name.

        Raises:
            AmunError: a later release has.
            ValueError, LookupError: nobody has.
        """
        told = json.loads(text)
        if told.pop("version") > VERSION:
            raise AmunError(f"{name}: its images are kept in the form of a later release of amun; install that one")
        rules = ImagesParams.model_construct(**told | {"size": tuple(told["size"])})
        return cls(rules, dtype, shape)

    def describe(self) -> str:
        """Returns the rules as they stand in a file's footer."""
        rules = self.rules.model_dump(mode="json", include=set(NAMES))
        return json.dumps({"version": VERSION} | rules, sort_keys=True)

    def pack(self, pixels: Pixels, file: bytes | None) -> bytes:
        """Returns the bytes of one row: of the file, or of the pixels (C, H, W) where there is none."""
        content = np.ascontiguousarray(pixels).tobytes() if file is None else file
        (digest,) = digest_pictures(pixels[None])
        row = _HEAD.pack(_PIXELS if file is None else _FILE, len(content), digest) + content
        return row.ljust(min(pad_length(len(row)), _HEAD.size + pixels.nbytes), b"\0")

    def find_files(self, rows: Sequence[bytes]) -> list[bytes | None]:
        """Returns (N,) the image files that rows hold; None of one that holds pixels."""
        return [content if kind == _FILE else None for kind, content in map(_unpack, rows)]

    def decode(self, sample_ids: Sequence[str], rows: Sequence[bytes]) -> Pixels:
        """Returns the pixels (N, C, H, W) of rows; several are decoded at once, for decoders run without Python's lock.

        Args:
            sample_ids: (N,) whose rows they are, for the error.
            rows: (N,).

        Raises:
            DamagedError: a file cannot be decoded, or not to the pixels that it was kept for.
        """
        _make_ready()
        pixels = np.empty((len(rows), *self.shape), self.dtype)
        starts = range(0, len(rows), IMAGES_A_TASK)
        if len(starts) < 2 or (num_threads := min(count_processors(), len(starts))) < 2:
            self._decode_into(pixels, sample_ids, rows, 0)
            return pixels
        with ThreadPoolExecutor(num_threads) as pool:  # made anew, for threads do not live on in a copy of this process
            names, parts = ([one[start : start + IMAGES_A_TASK] for start in starts] for one in (sample_ids, rows))
            for _ in pool.map(partial(self._decode_into, pixels), names, parts, starts):
                pass
        return pixels

    def _decode_into(self, pixels: Pixels, sample_ids: Sequence[str], rows: Sequence[bytes], start: int) -> None:
        for place, (sample_id, row) in enumerate(zip(sample_ids, rows, strict=True), start):
            pixels[place] = self._decode_one(sample_id, row)

    def _decode_one(self, sample_id: str, row: bytes) -> npt.NDArray[Any]:
        try:
            kind, content = _unpack(row)
            if kind == _PIXELS:
                return np.frombuffer(content, self.dtype).reshape(self.shape)
        except (struct.error, TypeError, ValueError):  # of a row in clear: a sealed one is what was written
            raise DamagedError(f"sample {sample_id}: its row is not what was written; bring the file back") from None
        height, width = self.shape[1:]
        try:
            pixels = read_image(lambda: open_picture(io.BytesIO(content)), rules=self.rules, size=(height, width))
        except MemoryError:
            raise
        except Exception as error:  # a decoder may raise anything
            raise _describe_other(sample_id, join_lines(error) or type(error).__name__) from None
        # nothing else would tell that a decoder rounds otherwise, and every figure after it would be another
        if digest_pictures(pixels[None]) != read_digests([row]):
            raise _describe_other(sample_id, "it comes to other pixels")
        return pixels


def _describe_other(sample_id: str, reason: str) -> DamagedError:
    return DamagedError(
        f"sample {sample_id}: the image kept as its file cannot be decoded as it was ({reason}): install the packages "
        "of constraints.txt, with which it was prepared"
    )


@cache
def _make_ready() -> None:
    """Has Pillow know its decoders, and log nothing: once, for threads that did so would be in each other's way."""
    ignore_warnings()
    Image.init()


def read_digests(rows: Sequence[bytes]) -> list[bytes]:
    """Returns (N,) the digests of the pixels of rows, as `digest_pictures` made them when they were packed."""
    return [_HEAD.unpack_from(row)[2] for row in rows]


def pad_length(length: int) -> int:
    """Returns the power of two to which so many bytes, at least one, are filled up."""
    return 1 << (length - 1).bit_length()


def _unpack(row: bytes) -> tuple[int, bytes]:
    """Returns what a row holds: its kind, and the bytes without what they were filled up with."""
    kind, length, _ = _HEAD.unpack_from(row)
    return kind, row[_HEAD.size : _HEAD.size + length]
