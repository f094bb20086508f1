"""Keyed hashes of windows of 16, 32 and 64 bytes.

Two words are mixed by multiplications, as the finishers of fast hashes do; wider windows are pairs of narrower ones.
This finds candidates at hundreds of megabytes a second, and proves nothing: what it finds is compared by BLAKE2b.
"""

import hashlib
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

STRIDE = 8  # bytes between two windows of a buffer
WIDTHS = (16, 32, 64)  # bytes of a window
DIGEST_BYTES = 8

Words = npt.NDArray[np.uint64]

_SHIFT = np.uint64(32)


@dataclass(frozen=True)
class WindowHash:
    """The hash under one key.

    Attributes:
        seed: is mixed in first.
        first: odd factor of the first word.
        second: odd factor of both.
        digest_key: of the digests that prove what the hash has found.
    """

    seed: np.uint64
    first: np.uint64
    second: np.uint64
    digest_key: bytes

    @classmethod
    def derive(cls, key: bytes) -> Self:
        """Returns the hash under a key of 32 bytes."""
        drawn = hashlib.blake2b(key=key, digest_size=24, person=b"window").digest()
        seed, first, second = np.frombuffer(drawn, np.uint64)
        odd = np.uint64(1)
        return cls(seed, first | odd, second | odd, hashlib.blake2b(key=key, digest_size=32, person=b"digest").digest())

    def digest(self, content: bytes | memoryview) -> int:
        """Returns the digest of a block, 64 bits."""
        found = hashlib.blake2b(content, key=self.digest_key, digest_size=DIGEST_BYTES).digest()
        return int.from_bytes(found, "little")

    def hash_rows(self, rows: npt.NDArray[np.uint8]) -> Words:
        """Returns (N,) the hash of each window (N, 16, 32 or 64)."""
        hashes: Words = np.ascontiguousarray(rows).view(np.uint64)
        while hashes.shape[1] > 1:
            hashes = self._mix(hashes[:, ::2], hashes[:, 1::2])
        return hashes[:, 0]

    def _mix(self, left: Words, right: Words) -> Words:
        mixed = (left ^ self.seed) * self.first
        mixed ^= mixed >> _SHIFT
        return (mixed ^ right) * self.second
