"""What a store file says outside of its data pages, byte by byte."""

from pathlib import Path

import pyarrow.parquet as pq

from amun.store.samples import read_samples

MAGIC = b"PAR1"
PIECE = 16  # bytes of a payload that a footer has by chance in no file


def find_store_files(root: Path) -> list[Path]:
    """Returns every Parquet file below a folder, whatever it is called: DVC's cache names files by their digests."""
    paths = [path for path in root.rglob("*") if path.is_file()]
    return [path for path in paths if path.read_bytes()[: len(MAGIC)] == MAGIC]


def read_footer(path: Path) -> bytes:
    """Returns a Parquet file's footer: its length stands in the four bytes before the last four."""
    content = path.read_bytes()
    assert content[-4:] == MAGIC
    return content[-8 - int.from_bytes(content[-8:-4], "little") : -8]


def is_sealed(path: Path) -> bool:
    """Tells whether a store file's rows open with keys alone: there is nothing but ids besides what is sealed."""
    names: list[str] = pq.read_schema(path).names
    return names == ["sample_id", "subject_id", "payload"]


def assert_shows_nobody(path: Path) -> None:
    """Checks that no value of a store file stands outside of its data pages; of one that is sealed, in none of them."""
    footer, samples = read_footer(path), read_samples(path)
    ids = {*samples.sample_ids.tolist(), *samples.subject_ids.tolist()}
    assert not [name for name in ids if name.encode() in footer], f"{path}: ids in the footer"
    payloads = [payload.numpy().tobytes() for payload in samples.payloads]
    pieces = {payload[at : at + PIECE] for payload in payloads for at in range(0, len(payload) - PIECE + 1, PIECE)}
    assert not [piece for piece in pieces if piece in footer], f"{path}: payloads in the footer"
    metadata = pq.read_metadata(path)
    of_sealed = {b"kind", b"context", b"num_classes", b"signature"} if is_sealed(path) else set()
    assert set(metadata.metadata) == {b"ARROW:schema", b"dtype", b"shape", *of_sealed}
    if of_sealed:
        content = path.read_bytes()
        assert not [name for name in samples.subject_ids.tolist() if name.encode() in content], f"{path}: names"
        assert not [piece for piece in pieces if piece in content], f"{path}: payloads"
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    for column in (group.column(number) for group in groups for number in range(group.num_columns)):
        assert column.statistics is None
        assert column.dictionary_page_offset is None
        assert not column.has_column_index
        assert not column.has_offset_index
        assert column.bloom_filter_offset is None
