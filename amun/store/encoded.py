"""Samples kept as the image files that they came in: how a row holds one, and how it becomes pixels again.

The pixels are those that `prepare` has seen, to the bit: the same function makes them of the same bytes. A row tells
its length even when it is sealed, and the length of a file may tell which picture it is. So rows are filled up with
zeros to one of few lengths, by Padmé (Nikitin et al., Reducing Metadata Leakage from Encrypted Files and Communication
with PURBs, 2019, section 4): at most 12 % more.
"""

import io
import json
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from amun.core.errors import DamagedError, join_lines
from amun.core.params import ImagesParams
from amun.core.processors import count_processors
from amun.store.alike import DIGEST_BYTES, Pixels, digest_pictures, read_image
from amun.store.pictures import ignore_warnings, open_picture

# a row begins with what it holds, how many bytes that takes, and the digest of the pixels, by which twins are found
_HEAD = struct.Struct(f"<BQ{DIGEST_BYTES}s")
_PIXELS, _FILE = 0, 1
IMAGES_A_TASK = 8


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
    def parse(cls, text: str, dtype: "np.dtype[Any]", shape: tuple[int, ...]) -> Self:
        """Returns the form that `describe` has described."""
        return cls(ImagesParams.model_validate(json.loads(text)), dtype, shape)

    def describe(self) -> str:
        """Returns the rules as they stand in a file's footer."""
        return json.dumps(self.rules.model_dump(mode="json"), sort_keys=True)

    def pack(self, pixels: Pixels, file: bytes | None) -> bytes:
        """Returns the bytes of one row: of the file, or of the pixels (C, H, W) where there is none."""
        content = np.ascontiguousarray(pixels).tobytes() if file is None else file
        (digest,) = digest_pictures(pixels[None])
        row = _HEAD.pack(_PIXELS if file is None else _FILE, len(content), digest) + content
        return row.ljust(pad_length(len(row)), b"\0")

    def find_files(self, rows: Sequence[bytes]) -> list[bytes | None]:
        """Returns (N,) the image files that rows hold; None of one that holds pixels."""
        return [content if kind == _FILE else None for kind, content in map(_unpack, rows)]

    def decode(self, rows: Sequence[bytes]) -> Pixels:
        """Returns the pixels (N, C, H, W) of rows; several are decoded at once, for decoders run without Python's lock.

        Raises:
            DamagedError: a file cannot be decoded, or not to an image of this shape.
        """
        ignore_warnings()
        pixels = np.empty((len(rows), *self.shape), self.dtype)
        starts = range(0, len(rows), IMAGES_A_TASK)
        if len(starts) < 2 or (num_threads := min(count_processors(), len(starts))) < 2:
            self._decode_into(pixels, rows, 0)
            return pixels
        with ThreadPoolExecutor(num_threads) as pool:  # made anew, for threads do not live on in a copy of this process
            parts = [rows[start : start + IMAGES_A_TASK] for start in starts]
            for _ in pool.map(partial(self._decode_into, pixels), parts, starts):
                pass
        return pixels

    def _decode_into(self, pixels: Pixels, rows: Sequence[bytes], start: int) -> None:
        for place, row in enumerate(rows, start):
            pixels[place] = self._decode_one(row)

    def _decode_one(self, row: bytes) -> npt.NDArray[Any]:
        kind, content = _unpack(row)
        try:
            if kind == _PIXELS:
                return np.frombuffer(content, self.dtype).reshape(self.shape)
            height, width = self.shape[1:]
            found = read_image(lambda: open_picture(io.BytesIO(content)), rules=self.rules, size=(height, width))
            return found.reshape(self.shape)
        except Exception as error:  # a decoder may raise anything
            raise DamagedError(
                f"an image kept as its file cannot be decoded any more ({join_lines(error) or type(error).__name__}): "
                "install the packages of constraints.txt, with which it was prepared"
            ) from None


def read_digests(rows: Sequence[bytes]) -> list[bytes]:
    """Returns (N,) the digests of the pixels of rows, as `digest_pictures` made them when they were packed."""
    return [_HEAD.unpack_from(row)[2] for row in rows]


def pad_length(length: int) -> int:
    """Returns the length to which bytes of some length are filled up: L < 2 as it is, else as Padmé has it."""
    if length < 2:
        return length
    exponent = length.bit_length() - 1
    mask = (1 << (exponent - exponent.bit_length())) - 1
    return (length + mask) & ~mask


def _unpack(row: bytes) -> tuple[int, bytes]:
    """Returns what a row holds: its kind, and the bytes without what they were filled up with."""
    kind, length, _ = _HEAD.unpack_from(row)
    return kind, row[_HEAD.size : _HEAD.size + length]
