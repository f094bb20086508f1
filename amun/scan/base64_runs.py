"""Base64 in a buffer: text of its letters, with line ends and either of the two alphabets."""

from collections.abc import Iterator

import numpy as np
import pybase64

_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_\r\n"
_IS_OTHER = bytes(value not in _LETTERS for value in range(256))
_PROBE = 8  # bytes between two that are looked at first
_MIN_LETTERS = 80  # in a row: 64 bytes of content have 86


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
    # nearly all that is no text has no such run, and is not looked at byte by byte
    if bytes(_MIN_LETTERS // _PROBE) not in buffer[::_PROBE].translate(_IS_OTHER):
        return
    others = np.flatnonzero(np.frombuffer(buffer.translate(_IS_OTHER), np.bool_))
    edges = np.concatenate([[-1], others, [len(buffer)]])
    is_long = np.diff(edges) > _MIN_LETTERS
    yield from zip((edges[:-1][is_long] + 1).tolist(), edges[1:][is_long].tolist(), strict=True)
