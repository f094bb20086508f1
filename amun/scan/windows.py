"""Hashes 16, 32 and 64 bytes at every eighth byte of a buffer, and keeps those windows that may be looked for.

Numba makes machine code of it at the first search in a process, which takes two or three seconds. It hashes all widths
in one pass, and asks the marks while a hash is in a register. The same by numpy is thirty passes over the buffer.
"""

from dataclasses import dataclass
from typing import Any, Self, cast

import numba
import numpy as np
import numpy.typing as npt

from amun.scan.hashing import WindowHash, Words

# Marks are asked twice. The first ones stay in the processor's cache. What goes past them, one hash in 30 as a rule, is
# looked up in those that are large enough to let one in a thousand go past.
_MIN_BITS, _CACHED_BITS, _MAX_BITS = 12, 22, 29
_BITS_A_WINDOW = 10
_BITS_A_BYTE = 3

_Bits = tuple[npt.NDArray[np.uint8], np.uint64]


@dataclass(frozen=True)
class Marks:
    """Which hashes of one width may be looked for, by their first bits, eight marks in a byte.

    Attributes:
        near: (2**bits / 8,) uint8 by so few bits that they stay in the cache, and how far a hash is shifted for them.
        there: likewise, by more bits.
    """

    near: _Bits
    there: _Bits

    @classmethod
    def make(cls, hashes: npt.NDArray[np.uint32]) -> Self:
        """Returns the marks of the upper halves of hashes, of which there may be none."""
        bits = min(_MAX_BITS, max(_MIN_BITS, len(hashes).bit_length() + _BITS_A_WINDOW))
        return cls(_mark(hashes, min(bits, _CACHED_BITS)), _mark(hashes, bits))


def _mark(hashes: npt.NDArray[np.uint32], bits: int) -> _Bits:
    places = np.unique(hashes >> np.uint32(32 - bits))
    in_bytes, firsts = np.unique(places >> np.uint32(_BITS_A_BYTE), return_index=True)
    packed = np.zeros((1 << bits) >> _BITS_A_BYTE, np.uint8)
    if len(places):  # one mark a byte, to be packed, would be half a GB
        packed[in_bytes] = np.bitwise_or.reduceat(np.uint8(1) << (places & np.uint32(7)).astype(np.uint8), firsts)
    return packed, np.uint64(64 - bits)


def find_marked(
    window_hash: WindowHash, words: Words, marks: tuple[Marks, Marks, Marks]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """Returns the windows of a buffer that may be looked for.

    Args:
        window_hash: the hash.
        words: (N,) the buffer.
        marks: of each width in WIDTHS.

    Returns:
        Of each window its width's position in WIDTHS, the word at which it begins, and the upper half of its hash.
    """
    most = 3 * len(words)
    widths, places, hashes = np.empty(most, np.uint8), np.empty(most, np.int64), np.empty(most, np.uint32)
    factors = window_hash.seed, window_hash.first, window_hash.second
    narrow, middle, wide = ((*one.near, *one.there) for one in marks)
    number = _search(words, factors, narrow, middle, wide, (widths, places, hashes))
    return widths[:number], places[:number], hashes[:number]


# Numba finds out the types. All numbers that are hashed are unsigned: with a signed one it would take them for floats.
_compile = cast(Any, numba.njit)


@_compile(inline="always")  # type: ignore[untyped-decorator]
def _mix(left: Any, right: Any, seed: Any, first: Any, second: Any) -> Any:
    mixed = (left ^ seed) * first
    mixed ^= mixed >> np.uint64(32)
    return (mixed ^ right) * second


@_compile(inline="always")  # type: ignore[untyped-decorator]
def _has(bits: Any, shift: Any, hashed: Any) -> Any:
    place = hashed >> shift
    return (bits[place >> np.uint64(_BITS_A_BYTE)] >> (place & np.uint64(7))) & np.uint64(1)


@_compile  # type: ignore[untyped-decorator]
def _search(words: Any, factors: Any, narrow: Any, middle: Any, wide: Any, room: Any) -> Any:
    """Hashes each window as `WindowHash.hash_rows` does: wider ones are pairs of narrower ones, 2 and 4 words apart."""
    # what is taken out of a tuple in the loop would be counted as in use, each time
    widths, places, hashes = room
    seed, first, second = factors
    near16, near16_shift, there16, there16_shift = narrow
    near32, near32_shift, there32, there32_shift = middle
    near64, near64_shift, there64, there64_shift = wide
    half = np.uint64(32)
    hash16s, hash32s = np.zeros(2, np.uint64), np.zeros(4, np.uint64)  # the last ones
    number = 0
    for place in range(len(words) - 1):
        hash16 = _mix(words[place], words[place + 1], seed, first, second)
        if _has(near16, near16_shift, hash16) and _has(there16, there16_shift, hash16):
            widths[number], places[number], hashes[number] = 0, place, hash16 >> half
            number += 1
        if place >= 2:
            hash32 = _mix(hash16s[place & 1], hash16, seed, first, second)
            if _has(near32, near32_shift, hash32) and _has(there32, there32_shift, hash32):
                widths[number], places[number], hashes[number] = 1, place - 2, hash32 >> half
                number += 1
            if place >= 6:
                hash64 = _mix(hash32s[place & 3], hash32, seed, first, second)
                if _has(near64, near64_shift, hash64) and _has(there64, there64_shift, hash64):
                    widths[number], places[number], hashes[number] = 2, place - 6, hash64 >> half
                    number += 1
            hash32s[place & 3] = hash32
        hash16s[place & 1] = hash16
    return number
