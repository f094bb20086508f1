"""Base64 in a buffer: text of its letters, with line ends and either of the two alphabets."""

import binascii
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"
_IS_LETTER = np.zeros(256, np.bool_)
_IS_LETTER[np.frombuffer(_LETTERS + b"\r\n", np.uint8)] = True
_PLAIN = bytes.maketrans(b"-_", b"+/")
_LINE_ENDS = b"\r\n"
_PROBE = 8  # bytes between two that are looked at first
_MIN_LETTERS = 80  # in a row: 64 bytes of content have 86


def decode_runs(buffer: bytes) -> Iterator[bytes]:
    """Yields what each run of base64 in a buffer may say: once for each letter with which it may begin."""
    for begin, end in _find_runs(np.frombuffer(buffer, np.uint8)):
        letters = buffer[begin:end].translate(_PLAIN, _LINE_ENDS)
        for skipped in range(4):
            rest = letters[skipped:]
            # of four letters one alone says nothing; two and three say one byte and two
            whole = rest[:-1] if len(rest) % 4 == 1 else rest
            yield binascii.a2b_base64(whole + b"=" * (-len(whole) % 4))


def _find_runs(buffer: npt.NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    """Yields where each run of letters begins and ends, of those that are long enough."""
    # nearly all that is no text has no such run, and is not looked at byte by byte
    others = np.flatnonzero(~_IS_LETTER[buffer[::_PROBE]])
    if np.diff(others, prepend=-1, append=len(buffer) // _PROBE + 1).max() <= _MIN_LETTERS // _PROBE:
        return
    edges = np.concatenate([[-1], np.flatnonzero(~_IS_LETTER[buffer]), [len(buffer)]])
    is_long = np.diff(edges) > _MIN_LETTERS
    yield from zip((edges[:-1][is_long] + 1).tolist(), edges[1:][is_long].tolist(), strict=True)
