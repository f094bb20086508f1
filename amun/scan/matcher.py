"""Finds what fingerprints are of in a buffer: hashes of windows give candidates, digests of blocks prove them."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from amun.scan.fingerprint import Fingerprint, describe_nothing, join
from amun.scan.hashing import STRIDE, WIDTHS, WindowHash, Words

OVERLAP = 512  # bytes that two buffers of a stream share: more than a block has, also in base64
# A first look goes by a table that fits into the processor's cache. What goes past it, a quarter or less as a rule, is
# looked up in one that is large enough for one in 256 to go past.
_MIN_BITS, _CACHED_BITS, _MAX_BITS = 12, 19, 26
_BITS_A_WINDOW = 8


@dataclass(frozen=True)
class _Table:
    """The windows of one width.

    Attributes:
        is_near: (2**bits,) bool, by the first bits of a hash; at most so many that the table stays in the cache.
        is_there: likewise, by more bits.
        hashes: (W,) uint32, ascending.
        blocks: (W,) the block of each.
        offsets: (W,) where it stands in the block.
    """

    is_near: npt.NDArray[np.bool_]
    is_there: npt.NDArray[np.bool_]
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
        self._tables = {width: table for width in WIDTHS if (table := _make_table(joined, width)) is not None}

    def find_items(self, buffer: bytes, known: set[int]) -> None:
        """Adds the payloads of which the buffer has a whole block to those that are known."""
        for _, item in self._find(buffer, known):
            known.add(item)

    def find_blocks(self, buffer: bytes) -> set[int]:
        """Returns all blocks that the buffer has, by their numbers; those of one fingerprint follow those before."""
        return {block for block, _ in self._find(buffer, ())}

    def _find(self, buffer: bytes, known: Collection[int]) -> Iterator[tuple[int, int]]:
        """Yields each block that the buffer has, and the payload that it is of, unless that is known by then."""
        padded = buffer + bytes(-len(buffer) % STRIDE)
        view = memoryview(buffer)
        for width, start, hashes in self._hash.hash_windows(np.frombuffer(padded, np.uint64)):
            if (table := self._tables.get(width)) is None:
                continue
            for place, row in _list_candidates(table, hashes):
                block = int(table.blocks[row])
                if (item := self._items[block]) in known:
                    continue
                begin = (start + place) * STRIDE - int(table.offsets[row])
                end = begin + self._sizes[block]
                if begin >= 0 and end <= len(buffer) and self._hash.digest(view[begin:end]) == self._digests[block]:
                    yield block, item


def _make_table(joined: Fingerprint, width: int) -> _Table | None:
    rows = np.flatnonzero(joined.window_widths == width)
    if not len(rows):
        return None
    rows = rows[np.argsort(joined.window_hashes[rows], kind="stable")]
    hashes = joined.window_hashes[rows]
    bits = min(_MAX_BITS, max(_MIN_BITS, len(rows).bit_length() + _BITS_A_WINDOW))
    blocks, offsets = joined.window_blocks[rows].astype(np.int64), joined.window_offsets[rows].astype(np.int64)
    return _Table(_mark(hashes, min(bits, _CACHED_BITS)), _mark(hashes, bits), hashes, blocks, offsets)


def _mark(hashes: npt.NDArray[np.uint32], bits: int) -> npt.NDArray[np.bool_]:
    """Returns (2**bits,) bool: by which first bits there is a hash."""
    is_there = np.zeros(1 << bits, np.bool_)
    is_there[hashes >> np.uint32(32 - bits)] = True
    return is_there


def _look_up(is_there: npt.NDArray[np.bool_], hashes: Words) -> npt.NDArray[np.int64]:
    """Returns which of the hashes have first bits that the table has."""
    shift = np.uint64(65 - len(is_there).bit_length())
    return np.flatnonzero(is_there[(hashes >> shift).view(np.int64)])


def _list_candidates(table: _Table, hashes: Words) -> list[tuple[int, int]]:
    """Returns where a window of the buffer hashes as one of the table, and the row of that."""
    near = _look_up(table.is_near, hashes)
    places = near[_look_up(table.is_there, hashes[near])]
    if not len(places):
        return []
    wanted = (hashes[places] >> np.uint64(32)).astype(np.uint32)
    first, last = (np.searchsorted(table.hashes, wanted, side) for side in ("left", "right"))
    return [
        (place, row)
        for place, begin, end in zip(places.tolist(), first.tolist(), last.tolist(), strict=True)
        for row in range(begin, end)
    ]
