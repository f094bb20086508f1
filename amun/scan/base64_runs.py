"""Base64 in a buffer: text of its letters, with line ends and either of the two alphabets."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pybase64

_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_\r\n"
_LETTER, _OTHER = b"\0", b"\1"
_TO_KINDS = b"".join(_LETTER if value in _LETTERS else _OTHER for value in range(256))
_MIN_LETTERS = 80  # in a row: 64 bytes of content have 86
_RUN = _MIN_LETTERS * _LETTER
_WORD = 8
_WORDS = bytes([True]) * (_MIN_LETTERS // _WORD - 1)  # of letters alone, in any run

# So many bytes a process looks through without machine code, which would take as long to be made. Most read less.
MACHINE_CODE_FROM = 1 << 32


@dataclass
class _Process:
    """What this process has done.

    Attributes:
        num_bytes: that it has looked through.
    """

    num_bytes: int = 0


_process = _Process()


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
    _process.num_bytes += len(buffer)
    return _find_fast(buffer) if _process.num_bytes > MACHINE_CODE_FROM else _find_at_once(buffer)


def _find_at_once(buffer: bytes) -> Iterator[tuple[int, int]]:
    """Finds them by what is compiled already: Python's own search, where there may be one."""
    kinds = buffer.translate(_TO_KINDS)
    words = np.frombuffer(kinds, np.uint64, len(kinds) // _WORD)
    if _WORDS not in (words == 0).tobytes():
        return
    end = 0
    while (begin := kinds.find(_RUN, end)) >= 0:
        end = kinds.find(_OTHER, begin)
        end = len(kinds) if end < 0 else end
        yield begin, end


def _find_fast(buffer: bytes) -> Iterator[tuple[int, int]]:
    # only here: it is made at the first call
    from amun.scan.base64_machine import list_runs

    is_letter = (np.frombuffer(_TO_KINDS, np.uint8) == _LETTER[0]).astype(np.uint8)
    runs = np.empty((len(buffer) // _MIN_LETTERS, 2), np.int64)
    number = list_runs(np.frombuffer(buffer, np.uint8), is_letter, _MIN_LETTERS, runs)
    yield from runs[:number].tolist()
