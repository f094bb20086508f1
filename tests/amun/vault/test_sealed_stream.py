"""A sealed stream is read as it was written, or not at all."""

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amun.core.errors import DamagedError, InputError
from amun.vault.kek import fingerprint_kek, read_kek, write_kek
from amun.vault.sealed_stream import PART_BYTES, SealedReader, seal_stream

KEK, OTHER = bytes(range(32)), bytes(range(1, 33))
PART = PART_BYTES + 16
HEADER = 53


def seal(content: bytes) -> bytes:
    """Returns the stream, written in pieces as they may come."""
    file = io.BytesIO()
    with seal_stream(file, KEK) as sealed:
        for start in range(0, len(content), 700_001):
            sealed.write(content[start : start + 700_001])
    return file.getvalue()


def read(stream: bytes, kek: bytes = KEK) -> bytes:
    """Returns what was sealed."""
    reader = SealedReader(io.BytesIO(stream), "b.amun", {fingerprint_kek(kek): kek}.__getitem__)
    return b"".join(iter(lambda: reader.read(300_007), b""))


@pytest.mark.parametrize("num_bytes", [0, 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES])
def test_whole_stream_is_read_as_written(num_bytes: int) -> None:
    content = bytes(number % 251 for number in range(num_bytes))
    stream = seal(content)
    assert len(stream) == HEADER + num_bytes + 16 * max(1, -(-num_bytes // PART_BYTES))
    assert read(stream) == content
    assert stream != seal(content), "two streams have no key in common"


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_one_byte_changed_or_any_end_cut_off_is_an_error(data: st.DataObject) -> None:
    stream = STREAM
    place = data.draw(st.integers(HEADER - 16, len(stream) - 1))
    flipped = bytearray(stream)
    flipped[place] ^= data.draw(st.integers(1, 255))
    for damaged in (bytes(flipped), stream[:place]):
        with pytest.raises(DamagedError, match="damaged or cut off"):
            read(damaged)


@pytest.mark.parametrize("order", ["swapped", "without the last part", "from another stream"])
def test_parts_stand_where_they_were_written(order: str) -> None:
    header, first, second, last = (STREAM[:HEADER], *(STREAM[HEADER + PART * n :][:PART] for n in range(3)))
    damaged = {
        "swapped": header + second + first + last,
        "without the last part": header + first + second,
        "from another stream": header + seal(bytes(2 * PART_BYTES + 9))[HEADER:][:PART] + second + last,
    }[order]
    with pytest.raises(DamagedError):
        read(damaged)


def test_other_key_and_other_file_are_refused() -> None:
    with pytest.raises(KeyError):
        read(STREAM, OTHER)
    with pytest.raises(InputError, match="none that `amun backup`"):
        read(b"PK\x03\x04 something else")


def test_copy_of_a_key_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    path, link = tmp_path / "kek", tmp_path / "link"
    write_kek(path, KEK)
    link.hardlink_to(path)
    write_kek(path, OTHER)
    assert (read_kek(path), path.stat().st_mode & 0o777) == (OTHER, 0o400)
    assert not any(link.read_bytes()), "the earlier copy is overwritten where it lay"


STREAM = seal(bytes(2 * PART_BYTES + 9))
