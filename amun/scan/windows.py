"""Hashes 16, 32 and 64 bytes at every eighth byte of a buffer, and keeps those windows that may be looked for.

Numba makes machine code of it at the first search in a process, which takes about three seconds. A part of the buffer
is hashed at a time, so that its hashes stay in the processor's first cache, and no step waits for the one before:
neither for memory nor for a guess of what a mark will say.
"""

from dataclasses import dataclass
from typing import Any, Self, cast

import numba
import numpy as np
import numpy.typing as npt

from amun.scan.hashing import WindowHash, Words

# Marks are asked twice. The first ones are eight times smaller, so that those of a thousand pictures stay in the
# processor's second cache; they let one hash in 50 go past. The second ones let one in two thousand go past.
_MIN_BITS, _MAX_BITS = 15, 29
_BITS_A_WINDOW = 7
_FEWER_BITS = 3
_BITS_A_WORD = 6
_PART = 8192  # words that are hashed at a time
_PIECE = 1 << 18  # hashes that are marked at a time: of all at once each step would hold eight bytes a hash

_Bits = tuple[npt.NDArray[np.uint64], np.uint64]


@dataclass(frozen=True)
class Marks:
    """Which hashes of one width may be looked for: a blocked Bloom filter, and a smaller one that is asked first.

    Each hash has two marks, both in the word that its first bits name: so one look into memory tells. Which two the
    lowest bits say. (Putze, Sanders, Singler: Cache-, Hash- and Space-Efficient Bloom Filters, 2007.)

    Attributes:
        near: (2**bits / 64,) uint64, and how far a hash is shifted so that it names one of them: the smaller ones.
        there: likewise, by more bits.
    """

    near: _Bits
    there: _Bits

    @classmethod
    def make(cls, hashes: npt.NDArray[np.uint32]) -> Self:
        """Returns the marks of the upper halves of hashes, of which there may be none."""
        bits = min(_MAX_BITS, max(_MIN_BITS, len(hashes).bit_length() + _BITS_A_WINDOW))
        return cls(_mark(hashes, bits - _FEWER_BITS), _mark(hashes, bits))


def _mark(hashes: npt.NDArray[np.uint32], bits: int) -> _Bits:
    num_words_bits = bits - _BITS_A_WORD
    words = np.zeros(1 << num_words_bits, np.uint64)
    for begin in range(0, len(hashes), _PIECE):
        ordered = np.sort(hashes[begin : begin + _PIECE]).astype(np.uint64)
        places, firsts = np.unique(ordered >> np.uint64(32 - num_words_bits), return_index=True)
        words[places] |= np.bitwise_or.reduceat(_name_bits(ordered), firsts)
    return words, np.uint64(64 - num_words_bits)


def _name_bits(halves: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Returns the two marks of each upper half of a hash."""
    low, one = np.uint64((1 << _BITS_A_WORD) - 1), np.uint64(1)
    return one << (halves & low) | one << (halves >> np.uint64(_BITS_A_WORD) & low)


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


@_compile  # type: ignore[untyped-decorator]
def _search(words: Any, factors: Any, narrow: Any, middle: Any, wide: Any, room: Any) -> Any:
    """Hashes each window as `WindowHash.hash_rows` does: wider ones are pairs of narrower ones, 2 and 4 words apart."""
    hash16s, hash32s = np.empty(_PART + 6, np.uint64), np.empty(_PART + 4, np.uint64)
    hash64s, chosen = np.empty(_PART, np.uint64), np.empty(_PART, np.uint32)
    number = 0
    for begin in range(0, len(words), _PART):
        # those that wider windows of this part go on with are of the next one, and hashed there again
        num16, num32 = min(_PART + 6, len(words) - 1 - begin), min(_PART + 4, len(words) - 3 - begin)
        num64 = min(_PART, len(words) - 7 - begin)
        _mix(words[begin:], 1, num16, factors, hash16s)
        _mix(hash16s, 2, num32, factors, hash32s)
        _mix(hash32s, 4, num64, factors, hash64s)
        number = _keep(hash16s, min(_PART, num16), narrow, chosen, (0, begin, number), room)
        number = _keep(hash32s, min(_PART, num32), middle, chosen, (1, begin, number), room)
        number = _keep(hash64s, num64, wide, chosen, (2, begin, number), room)
    return number


@_compile(inline="always")  # type: ignore[untyped-decorator]
def _mix(values: Any, apart: Any, number: Any, factors: Any, mixed: Any) -> Any:
    """Writes the hashes of the first so many pairs of values that are so far apart."""
    seed, first, second = factors
    for place in range(number):
        left = (values[place] ^ seed) * first
        mixed[place] = ((left ^ (left >> np.uint64(32))) ^ values[place + apart]) * second


@_compile(inline="always")  # type: ignore[untyped-decorator]
def _has(bits: Any, shift: Any, hashed: Any) -> Any:
    word = bits[hashed >> shift]
    return (word >> ((hashed >> np.uint64(32)) & np.uint64(63))) & (word >> ((hashed >> np.uint64(38)) & np.uint64(63)))


@_compile(inline="always")  # type: ignore[untyped-decorator]
def _keep(hashes: Any, num_hashes: Any, marks: Any, chosen: Any, where: Any, room: Any) -> Any:
    """Writes down which of a part's hashes have their marks, and returns how many windows were written by then."""
    near, near_shift, there, there_shift = marks
    width, begin, number = where
    widths, places, kept = room
    num_chosen = np.uint64(0)
    for place in range(num_hashes):
        chosen[num_chosen] = place  # is overwritten unless it is counted: a branch would be guessed, and often wrongly
        num_chosen += _has(near, near_shift, hashes[place]) & np.uint64(1)
    for row in range(num_chosen):
        hashed = hashes[chosen[row]]
        if _has(there, there_shift, hashed) & np.uint64(1):
            widths[number], places[number], kept[number] = width, begin + chosen[row], hashed >> np.uint64(32)
            number += 1
    return number
