"""Keyed hashes of 16, 32 and 64 bytes at every eighth byte of a buffer, by a few passes of numpy over it.

Two words are mixed by multiplications, as the finishers of fast hashes do; wider windows are pairs of narrower ones.
This finds candidates at hundreds of megabytes a second, and proves nothing: what it finds is compared by BLAKE2b.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

STRIDE = 8  # bytes between two windows of a buffer
WIDTHS = (16, 32, 64)  # bytes of a window
CHUNK_WORDS = 1 << 15  # that are hashed together: they stay in the processor's cache
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
            hashes = self._mix(
                hashes[:, ::2], hashes[:, 1::2], *np.empty((2, len(hashes), hashes.shape[1] // 2), np.uint64)
            )
        return hashes[:, 0]

    def hash_windows(self, words: Words) -> Iterator[tuple[int, int, Words]]:
        """Yields the hashes of all windows of a buffer, some at a time.

        Args:
            words: (N,) the buffer.

        Yields:
            A width, the word at which the first of these windows begins, and the hashes: valid until the next step.
        """
        room = np.empty((len(WIDTHS) + 1, min(len(words), CHUNK_WORDS) + 8), np.uint64)
        for start in range(0, len(words), CHUNK_WORDS):
            hashes = words[start : start + CHUNK_WORDS + 7]
            apart = 1  # words from one half of a window to the other
            for place, width in enumerate(WIDTHS):
                num_hashes = len(hashes) - apart
                if num_hashes <= 0:
                    break
                hashes = self._mix(hashes[:num_hashes], hashes[apart:], room[place, :num_hashes], room[-1, :num_hashes])
                yield width, start, hashes[:CHUNK_WORDS]
                apart = 2 * apart if place else 2

    def _mix(self, left: Words, right: Words, out: Words, spare: Words) -> Words:
        np.bitwise_xor(left, self.seed, out=out)
        np.multiply(out, self.first, out=out)
        np.right_shift(out, _SHIFT, out=spare)
        np.bitwise_xor(out, spare, out=out)
        np.bitwise_xor(out, right, out=out)
        np.multiply(out, self.second, out=out)
        return out
