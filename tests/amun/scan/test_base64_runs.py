"""Runs of base64 are found at their very edges, by machine code and without it."""

from collections.abc import Iterator

import numpy as np
import pytest

from amun.scan import base64_runs

LETTER, OTHER = b"Ab9+/-_\r\n", b" =\x00\xff"


def draw_buffer(random: np.random.Generator) -> bytes:
    """Returns rows of letters, many of just the length at which something is decided, and 0 to 2 others in between."""
    parts = []
    for length in random.choice([0, 1, 8, 63, 64, 65, 79, 80, 81, 127, 128, 143, 144, 145, 208], size=6):
        parts += [random.choice(list(LETTER), length), random.choice(list(OTHER), random.integers(3))]
    return np.concatenate(parts).astype(np.uint8).tobytes()


def find_by_a_loop(buffer: bytes) -> list[tuple[int, int]]:
    runs, begin = [], 0
    for place, value in enumerate([*buffer, OTHER[0]]):
        if value in OTHER:
            if place - begin >= 80:
                runs.append((begin, place))
            begin = place + 1
    return runs


@pytest.mark.parametrize("machine_code_from", [0, 1 << 32])
def test_all_runs_are_found_from_the_first_letter_to_the_last(
    machine_code_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base64_runs, "MACHINE_CODE_FROM", machine_code_from)
    random = np.random.default_rng(0)
    for buffer in (b"", 79 * b"A", 80 * b"A", b" " + 80 * b"A", *(draw_buffer(random) for _ in range(300))):
        assert [tuple(run) for run in base64_runs._find_runs(buffer)] == find_by_a_loop(buffer), buffer


def test_machine_code_is_made_once_a_process_has_read_much(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = list[bytes]()

    def find(buffer: bytes) -> Iterator[tuple[int, int]]:
        fast.append(buffer)
        return iter([])

    monkeypatch.setattr(base64_runs, "_process", base64_runs._Process())
    monkeypatch.setattr(base64_runs, "_find_fast", find)
    monkeypatch.setattr(base64_runs, "MACHINE_CODE_FROM", 150)
    for buffer in (100 * b" ", 50 * b" ", b"x", b"y"):
        list(base64_runs._find_runs(buffer))
    assert fast == [b"x", b"y"]
