"""Base64 in a buffer: text of its letters, with line ends and either of the two alphabets."""

from collections.abc import Iterator
from typing import Any, cast

import numba
import numpy as np
import pybase64

_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_\r\n"
_IS_LETTER = np.array([value in _LETTERS for value in range(256)], np.uint8)
_MIN_LETTERS = 80  # in a row: 64 bytes of content have 86
_AT_ONCE = 64


def decode_runs(buffer: bytes) -> Iterator[bytes]:
    """Yields what each run of base64 in a buffer may say: once for each letter with which it may begin."""
    for begin, end in _find_runs(buffer):
        run = buffer[begin:end].replace(b"\n", b"").replace(b"\r", b"")
        letters = run.replace(b"-", b"+").replace(b"_", b"/")
        for skipped in range(4):
            rest = letters[skipped:]
            # of four letters one alone says nothing; two and three say one byte and two
            whole = rest[:-1] if len(rest) % 4 == 1 else rest
            yield pybase64.b64decode(whole + b"=" * (-len(whole) % 4), validate=True)


def _find_runs(buffer: bytes) -> Iterator[tuple[int, int]]:
    """Yields where each run of letters begins and ends, of those that are long enough."""
    runs = np.empty((len(buffer) // _MIN_LETTERS, 2), np.int64)
    number = _list_runs(np.frombuffer(buffer, np.uint8), _IS_LETTER, runs)
    yield from runs[:number].tolist()


_compile = cast(Any, numba.njit)


@_compile(inline="always")  # type: ignore[untyped-decorator]
def _are_letters(values: Any, is_letter: Any) -> Any:
    """Tells it of all: they are looked up side by side, where a loop that may end would wait for each answer."""
    are_letters = np.uint8(1)
    for place in range(_AT_ONCE):
        are_letters &= is_letter[values[place]]
    return are_letters


@_compile  # type: ignore[untyped-decorator]
def _list_runs(values: Any, is_letter: Any, runs: Any) -> Any:
    """Writes down where each run begins and ends, and returns how many there are.

    A place is looked at from the end of the shortest run that could begin there: where a letter is none, none of the
    places up to it begins one. So of most bytes that are no base64 few are looked at.
    """
    begin, number = 0, 0
    while begin + _MIN_LETTERS <= len(values):
        place = begin + _MIN_LETTERS - 1
        while place >= begin and is_letter[values[place]]:
            place -= 1
        if place < begin:
            place = begin + _MIN_LETTERS
            while place + _AT_ONCE <= len(values) and _are_letters(values[place : place + _AT_ONCE], is_letter):
                place += _AT_ONCE
            while place < len(values) and is_letter[values[place]]:
                place += 1
            runs[number] = begin, place
            number += 1
        begin = place + 1
    return number
