"""Copies are found however they are packed; what cannot be looked into is told, and is not passed over."""

import base64
import gzip
import io
import zipfile

import numpy as np
import pytest

from amun.scan.content import BLOCK_BYTES, MAX_DEPTH, scan_bytes
from amun.scan.matcher import OVERLAP, Matcher
from tests.amun.scan.planting import HASH, PACKS, draw, look, name_whole, pack_tar, pack_zip, take

PICTURES = draw(3, 3, 16, 16)


@pytest.mark.parametrize("pack", PACKS)
def test_copy_is_found_in_every_packing(pack: str) -> None:
    content = PACKS[pack](b"before it, " + PICTURES[1].tobytes() + b", and after")
    finding = look(PICTURES, content)
    assert (finding.items, finding.problems, finding.num_bytes) == ({1}, [], len(content))
    assert look(PICTURES, PACKS[pack](draw(3000, seed=1).tobytes())).items == set()


def list_nestings() -> list[tuple[str, str]]:
    """Returns which packing can be told in which.

    Base64 is decoded once. A table's values are looked at as they are, and so is an archive that begins in the middle.
    """
    inner = ("gzip", "zip", "stored zip", "parquet by zstd", "tar")
    archives = [pack for pack in PACKS if not pack.startswith(("parquet", "two ", "base64 after"))]
    return [(outer, one) for outer in archives for one in inner] + [
        (outer, "base64") for outer in PACKS if not outer.startswith("base64")
    ]


@pytest.mark.parametrize(("outer", "inner"), list_nestings())
def test_copy_is_found_in_a_packing_in_a_packing(outer: str, inner: str) -> None:
    finding = look(PICTURES, PACKS[outer](PACKS[inner](PICTURES[2].tobytes())))
    assert (finding.items, finding.problems) == ({2}, [])


def test_copy_is_found_across_the_blocks_of_a_stream() -> None:
    picture = PICTURES[:1, :1, :8, :8].astype(np.float32)  # of one block
    matcher = Matcher(HASH, [take(picture)])
    for before in range(BLOCK_BYTES - picture.nbytes - OVERLAP, BLOCK_BYTES + OVERLAP, 61):
        content = bytes(before) + picture.tobytes() + bytes(BLOCK_BYTES)
        assert scan_bytes(matcher, content).items == {0}, before
        assert scan_bytes(matcher, gzip.compress(content, 1)).items == {0}, before


def test_long_base64_is_found_across_the_blocks_of_a_stream() -> None:
    small = PICTURES[:1, :, :5, :5]
    for before in range(0, 1200, 171):
        content = (
            draw(BLOCK_BYTES // 4 * 3 - before, seed=2).tobytes() + small[0].tobytes() + draw(999, seed=3).tobytes()
        )
        assert look(small, b"x" * 5 + base64.encodebytes(content)).items == {0}, before


def test_what_cannot_be_looked_into_is_told() -> None:
    whole = gzip.compress(PICTURES[0].tobytes())
    encrypted = bytearray(pack_zip(b"secret"))
    for place in (encrypted.index(b"PK\x03\x04") + 6, encrypted.index(b"PK\x01\x02") + 8):
        encrypted[place] |= 1
    nested = PICTURES[0].tobytes()
    for _ in range(MAX_DEPTH + 1):
        nested = gzip.compress(nested)
    for content in (whole[:-20], pack_zip(b"x" * 999)[:-30], bytes(encrypted), b"PAR1" + bytes(500) + b"PAR1", nested):
        assert len(look(PICTURES, content).problems) == 1
    # what is whole in it is looked at all the same
    torn = pack_tar(b"x" * 999 + PICTURES[0].tobytes()) + pack_tar(b"y")[:300]
    assert look(PICTURES, torn).items == {0}


def test_large_archive_in_another_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amun.scan.containers.MAX_NESTED", 1000)
    finding = look(PICTURES, gzip.compress(pack_zip(draw(3000).tobytes())))
    assert len(finding.problems) == 1
    assert "an archive in another one has more than" in finding.problems[0]


def test_copy_as_numpy_and_pytorch_store_it_is_found() -> None:
    file = io.BytesIO()
    np.savez_compressed(file, images=PICTURES.astype(np.float32) / np.float32(255))
    assert look(PICTURES, file.getvalue()).items == {0, 1, 2}
    with zipfile.ZipFile(io.BytesIO(file.getvalue())) as archive:
        assert look(PICTURES, archive.read("images.npy")).items == {0, 1, 2}


@pytest.mark.parametrize("pack", [pack for pack in PACKS if not pack.startswith(("base64", "parquet", "two "))])
def test_whole_file_is_found_by_its_digest_as_it_is_and_packed(pack: str) -> None:
    weights = draw(2000, seed=4).tobytes()
    matcher = Matcher(HASH, [], [name_whole("v0", weights), name_whole("v1", weights[1:])])
    assert scan_bytes(matcher, PACKS[pack](weights)).files == {"v0"}
    assert scan_bytes(matcher, PACKS["zip"](PACKS[pack](weights[1:]))).files == {"v1"}
    for other in (weights[:-1], weights + b"x", weights[:-1] + b"x"):
        assert scan_bytes(matcher, PACKS[pack](other)).files == set()


def test_nothing_is_found_in_nothing() -> None:
    finding = look(PICTURES, b"")
    assert (finding.items, finding.num_bytes, finding.problems) == (set(), 0, [])
