"""Marks of hashes and the windows that they let past: none that is looked for is missed, and few others are taken."""

import tracemalloc

import numpy as np
import numpy.typing as npt
import pytest

from amun.scan import windows
from amun.scan.hashing import WIDTHS, WindowHash
from amun.scan.windows import Marks, find_marked

HASH = WindowHash.derive(b"k" * 32)


def draw_hashes(number: int) -> npt.NDArray[np.uint32]:
    return np.random.default_rng(number).integers(2**32, size=number, dtype=np.uint32)


@pytest.mark.parametrize("number", [0, 1, 7, 5000])
def test_each_hash_has_its_two_marks_in_the_word_of_its_first_bits(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "_PIECE", 1000)
    hashes = draw_hashes(number)
    hashes[: number // 2] |= np.uint32(0xFFFFF000)  # many in one word, and the last word of all
    for words, shift in (marks := Marks.make(hashes)).near, marks.there:
        expected = np.zeros((len(words), 64), np.bool_)
        places = hashes >> np.uint32(int(shift) - 32)
        for lowest in (0, 6):
            expected[places, hashes >> np.uint32(lowest) & np.uint32(63)] = True
        assert len(words) == 1 << (64 - int(shift))
        assert np.array_equal(np.unpackbits(words.view(np.uint8), bitorder="little").astype(np.bool_), expected.ravel())


def test_the_largest_marks_take_the_memory_of_their_bits() -> None:
    hashes = draw_hashes(2**23)
    tracemalloc.start()
    marks = Marks.make(hashes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert marks.there[0].nbytes == 2**26
    assert peak < 2 * 2**26


@pytest.mark.parametrize("num_words", [0, 1, 2, 3, 4, 7, 8, 9, 8191, 8192, 8193, 8194, 8199, 8200, 20000])
def test_every_window_that_is_looked_for_is_kept_wherever_it_begins(num_words: int) -> None:
    """Also those that go from one part, which is hashed at a time, into the next."""
    words = np.random.default_rng(num_words).integers(2**64, size=num_words, dtype=np.uint64)
    expected = set[tuple[int, int, int]]()
    marks = []
    for position, width in enumerate(WIDTHS):
        num_windows = max(0, num_words - width // 8 + 1)
        rows = words[np.arange(num_windows)[:, None] + np.arange(width // 8)]
        halves = (HASH.hash_rows(rows.view(np.uint8)) >> np.uint64(32)).astype(np.uint32) if num_windows else rows[:, 0]
        marks.append(Marks.make(halves.astype(np.uint32)))
        expected |= {(position, place, half) for place, half in enumerate(halves.tolist())}
    narrow, middle, wide = marks
    found = [part.tolist() for part in find_marked(HASH, words, (narrow, middle, wide))]
    assert sorted(zip(*found, strict=True)) == sorted(expected)


def test_one_of_a_thousand_others_is_taken_at_most() -> None:
    words = np.random.default_rng(0).integers(2**64, size=100_000, dtype=np.uint64)
    marks = Marks.make(draw_hashes(100_000))
    assert len(find_marked(HASH, words, (marks, marks, marks))[0]) < 300
