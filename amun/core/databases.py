"""What holds for ledger and key store alike, on SQLite and on Postgres."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

BUSY_SECONDS = 60  # that another writer may take
CHUNK_ROWS = 10_000  # both databases take about 32,000 bound values in a statement

Item = TypeVar("Item")


def split_chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Yields the items in runs short enough for one statement."""
    for start in range(0, len(items), CHUNK_ROWS):
        yield items[start : start + CHUNK_ROWS]
