"""Finds what fingerprints are of in a buffer: hashes of windows give candidates, digests of blocks prove them."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from amun.scan.fingerprint import Fingerprint, describe_nothing, join
from amun.scan.hashing import STRIDE, WIDTHS, WindowHash
from amun.scan.windows import Marks, find_marked

OVERLAP = 512  # bytes that two buffers of a stream share: more than a block has, also in base64


@dataclass(frozen=True)
class _Table:
    """The windows of one width, of which there may be none.

    Attributes:
        marks: by which their hashes are found.
        hashes: (W,) uint32, ascending.
        blocks: (W,) the block of each.
        offsets: (W,) where it stands in the block.
    """

    marks: Marks
    hashes: npt.NDArray[np.uint32]
    blocks: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]


@dataclass(frozen=True)
class WholeFile:
    """A file that is to be nowhere any more, and is looked for as a whole: weights, of which there is no payload.

    Attributes:
        label: by which it is told.
        size: bytes.
        md5: of the content, as DVC names it.
    """

    label: str
    size: int
    md5: str


class Matcher:
    """Looks for the payloads of several fingerprints at once, and for whole files.

    Attributes:
        files: the whole files by their size.
        owners: (N,) int64, to which of the fingerprints each payload belongs.
        kinds: (N,) uint8, what each is.
    """

    def __init__(
        self, window_hash: WindowHash, fingerprints: Sequence[Fingerprint], files: Sequence[WholeFile] = ()
    ) -> None:
        self.files: dict[int, list[WholeFile]] = defaultdict(list)
        for file in files:
            self.files[file.size].append(file)
        joined = join([*fingerprints, describe_nothing(0)])
        self.owners = np.repeat(np.arange(len(fingerprints)), [len(one.kinds) for one in fingerprints])
        self.kinds = joined.kinds
        self._hash = window_hash
        self._items = joined.block_items.tolist()
        self._sizes, self._digests = joined.block_sizes.tolist(), joined.block_digests.tolist()
        self._tables = [_make_table(joined, width) for width in WIDTHS]
        narrow, middle, wide = (table.marks for table in self._tables)
        self._marks = narrow, middle, wide

    def find_items(self, buffer: bytes, known: set[int]) -> None:
        """Adds the payloads of which the buffer has a whole block to those that are known."""
        for _, item in self._find(buffer, known):
            known.add(item)

    def find_blocks(self, buffer: bytes) -> set[int]:
        """Returns all blocks that the buffer has, by their numbers; those of one fingerprint follow those before."""
        return {block for block, _ in self._find(buffer, ())}

    def _find(self, buffer: bytes, known: Collection[int]) -> Iterator[tuple[int, int]]:
        """Yields each block that the buffer has, and the payload that it is of, unless that is known by then."""
        view = memoryview(buffer)
        words = np.frombuffer(buffer, np.uint64, len(buffer) // STRIDE)
        widths, places, hashes = find_marked(self._hash, words, self._marks)
        for position, table in enumerate(self._tables):
            of_width = np.flatnonzero(widths == position)
            for place, row in _list_candidates(table, places[of_width], hashes[of_width]):
                block = int(table.blocks[row])
                if (item := self._items[block]) in known:
                    continue
                begin = place * STRIDE - int(table.offsets[row])
                end = begin + self._sizes[block]
                if begin >= 0 and end <= len(buffer) and self._hash.digest(view[begin:end]) == self._digests[block]:
                    yield block, item


def _make_table(joined: Fingerprint, width: int) -> _Table:
    rows = np.flatnonzero(joined.window_widths == width)
    rows = rows[np.argsort(joined.window_hashes[rows], kind="stable")]
    hashes = joined.window_hashes[rows]
    blocks, offsets = joined.window_blocks[rows].astype(np.int64), joined.window_offsets[rows].astype(np.int64)
    return _Table(Marks.make(hashes), hashes, blocks, offsets)


def _list_candidates(
    table: _Table, places: npt.NDArray[np.int64], hashes: npt.NDArray[np.uint32]
) -> list[tuple[int, int]]:
    """Returns where a window of the buffer hashes as one of the table, and the row of that."""
    first = np.searchsorted(table.hashes, hashes)
    last = np.searchsorted(table.hashes, hashes, "right")
    found = np.flatnonzero(first < last)
    return [
        (place, row)
        for place, begin, end in zip(places[found].tolist(), first[found].tolist(), last[found].tolist(), strict=True)
        for row in range(begin, end)
    ]
