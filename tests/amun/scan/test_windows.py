"""Marks of hashes: as one bit for each place, and in memory no more than that."""

import tracemalloc

import numpy as np
import pytest

from amun.scan.windows import Marks


@pytest.mark.parametrize("number", [0, 1, 7, 5000])
def test_marks_are_the_first_bits_of_the_hashes(number: int) -> None:
    hashes = np.random.default_rng(number).integers(2**32, size=number, dtype=np.uint32)
    hashes[: number // 2] |= np.uint32(0xFFFFF000)  # many in one byte, and the last place of all
    for packed, shift in (marks := Marks.make(hashes)).near, marks.there:
        bits = 64 - int(shift)
        expected = np.zeros(1 << bits, np.bool_)
        expected[hashes >> np.uint32(32 - bits)] = True
        assert np.array_equal(np.unpackbits(packed, bitorder="little").astype(np.bool_), expected)


def test_the_largest_marks_take_the_memory_of_their_bits() -> None:
    hashes = np.random.default_rng(0).integers(2**32, size=2**19, dtype=np.uint32)
    tracemalloc.start()
    marks = Marks.make(hashes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(marks.there[0]) == 2**26
    assert peak < 2 * 2**26
