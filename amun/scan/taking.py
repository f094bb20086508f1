"""Takes fingerprints: which parts of a payload tell it from others, and in which number formats copies may lie."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from amun.scan.fingerprint import ANSWER, FILE, IMAGE, NEAR_COPY, SEALED, Fingerprint, describe_nothing, join
from amun.scan.hashing import STRIDE, WindowHash

BLOCK, WINDOW = 64, 16  # values
NUM_SEGMENTS, NUM_SEALED = 8, 2  # of a payload; nobody keeps a part of a sealed row
NUM_STARTS = 16  # of blocks that are looked at in a segment
# A block with fewer different values, or steps from one to the next, is like others': blank paper, a ramp. Likewise a
# window, which would be found everywhere.
MIN_VALUES, MIN_WINDOW_VALUES = 8, 4
_LEAST_BYTES = {ANSWER: 2}  # of a value in the number formats of a kind, if that is not one

Values = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]


class FingerprintTaker:
    """Takes the fingerprint of a person's payloads, as they come; the same one is taken once."""

    def __init__(self, window_hash: WindowHash) -> None:
        self._hash = window_hash
        self._parts: list[Fingerprint] = []
        self._known: set[int] = set()
        self._num_unread = 0

    def add_payloads(self, kind: int, payloads: Values) -> None:
        """Adds payloads (N, ...) of the same form: each as it is, and in the number formats that hold the same."""
        digests = [self._hash.digest(payload.tobytes()) for payload in payloads]
        new = [row for row, digest in enumerate(digests) if self._is_new(digest)]
        if new:
            self._parts.append(self._take(kind, payloads[new], [digests[row] for row in new]))

    def add_content(self, kind: int, content: bytes) -> None:
        """Adds bytes as they lie in a file: the body of an image file, a sealed row."""
        if self._is_new(digest := self._hash.digest(content)):
            self._parts.append(self._take(kind, np.frombuffer(content, np.uint8)[None], [digest]))

    def count_unread(self) -> None:
        """Says that something could not be read, so that the fingerprint is not whole."""
        self._num_unread += 1

    def finish(self) -> Fingerprint:
        """Returns the fingerprint of all that was added."""
        return join([*self._parts, describe_nothing(self._num_unread)])

    def _is_new(self, digest: int) -> bool:
        is_new = digest not in self._known
        self._known.add(digest)
        return is_new

    def _take(self, kind: int, payloads: Values, digests: Sequence[int]) -> Fingerprint:
        kinds = np.full(len(payloads), kind, np.uint8)
        parts = [replace(describe_nothing(0), kinds=kinds, digests=np.array(digests, np.uint64))]
        first_spot = 0
        for values in lay_out(payloads) if kind in (IMAGE, NEAR_COPY) else [payloads.reshape(len(payloads), -1)]:
            items, starts, size = _choose_blocks(
                values, NUM_SEALED if kind == SEALED else NUM_SEGMENTS, _LEAST_BYTES.get(kind, 1)
            )
            if not len(items):
                continue
            spots = np.arange(first_spot, first_spot + len(items), dtype=np.uint32)
            first_spot += len(items)
            blocks = values[items[:, None], starts[:, None] + np.arange(size)]
            tells = _measure_windows(blocks)
            parts += [self._take_blocks(items, spots, form, tells) for form in _list_forms(kind, blocks)]
        return _unite(parts)

    def _take_blocks(
        self, items: Indices, spots: npt.NDArray[np.uint32], blocks: Values, tells: Indices
    ) -> Fingerprint:
        """Returns the fingerprint of blocks (B, size), given how much the window at each value tells."""
        item_size = blocks.dtype.itemsize
        content = np.ascontiguousarray(blocks).view(np.uint8).reshape(len(blocks), -1)
        width = WINDOW * item_size
        places = _place_windows(tells, item_size, content.shape[1] - width)
        rows = np.repeat(np.arange(len(blocks)), STRIDE)
        windows = content[rows[:, None], places.reshape(-1)[:, None] + np.arange(width)]
        hashes = self._hash.hash_rows(windows)
        return Fingerprint(
            kinds=np.empty(0, np.uint8),
            digests=np.empty(0, np.uint64),
            block_items=items.astype(np.uint32),
            block_spots=spots,
            block_sizes=np.full(len(blocks), content.shape[1], np.uint16),
            block_digests=np.array([self._hash.digest(block.tobytes()) for block in content], np.uint64),
            window_blocks=rows.astype(np.uint32),
            window_offsets=places.reshape(-1).astype(np.uint16),
            window_widths=np.full(len(rows), width, np.uint8),
            window_hashes=(hashes >> np.uint64(32)).astype(np.uint32),
            num_unread=np.zeros(1, np.uint32),
        )


def lay_out(payloads: Values) -> list[Values]:
    """Returns images (N, C, H, W) as rows (N, C * H * W), of several colours also as image files have them."""
    rows = [payloads.reshape(len(payloads), -1)]
    if payloads.ndim == 4 and payloads.shape[1] > 1:
        rows.append(np.ascontiguousarray(payloads.transpose(0, 2, 3, 1)).reshape(len(payloads), -1))
    return rows


def _list_forms(kind: int, values: Values) -> list[Values]:
    """Returns the same values in each number format in which they may lie somewhere."""
    if kind in (FILE, SEALED):
        return [values]
    if values.dtype == np.uint8:
        floats = values.astype(np.float32) / np.float32(255)
        return [values, floats, floats.astype(np.float16)]
    forms: list[Values] = [values.astype(np.float32), values.astype(np.float16)]
    if kind in (IMAGE, NEAR_COPY):
        forms.append(np.round(np.clip(values, 0, 1) * 255).astype(np.uint8))
    return forms


def _choose_blocks(values: Values, num_segments: int, least_bytes: int) -> tuple[Indices, Indices, int]:
    """Chooses the most telling block of each segment of each payload, where there is one that tells.

    Args:
        values: (N, length) the payloads.
        num_segments: of each, at most.
        least_bytes: of a value, in the smallest number format in which the payloads are looked for.

    Returns:
        (B,) whose it is, (B,) its first value, and how many values each has.
    """
    length = values.shape[1]
    size = min(BLOCK, length)
    bounds = np.linspace(0, length, max(1, min(num_segments, length // BLOCK)) + 1).astype(np.int64)
    items, starts = [], []
    for begin, end in pairwise(bounds.tolist()) if size >= WINDOW + STRIDE // least_bytes else ():
        places = np.unique(np.linspace(begin, max(begin, end - size), NUM_STARTS).astype(np.int64))
        blocks = values[:, places[:, None] + np.arange(size)]  # (N, starts, size)
        tells = np.minimum(_count_distinct(blocks), _count_distinct(np.diff(blocks.astype(np.float32))))
        chosen = np.flatnonzero(tells.max(axis=1) >= MIN_VALUES)
        best = tells.argmax(axis=1)[chosen]
        is_findable = _is_findable(blocks[chosen, best], STRIDE // least_bytes)
        items.append(chosen[is_findable])
        starts.append(places[best[is_findable]])
    if not items:
        return np.empty(0, np.int64), np.empty(0, np.int64), size
    return np.concatenate(items), np.concatenate(starts), size


def _is_findable(blocks: Values, stride: int) -> npt.NDArray[np.bool_]:
    """Returns (B,) bool: which blocks (B, size) have a window that tells, wherever a search has its own.

    Args:
        blocks: which.
        stride: values between two windows of the search.
    """
    tells = _measure_windows(blocks)
    best = [tells[:, residue::stride].max(axis=1) for residue in range(stride)]
    is_findable: npt.NDArray[np.bool_] = np.min(best, axis=0) >= MIN_WINDOW_VALUES
    return is_findable


def _measure_windows(blocks: Values) -> Indices:
    """Returns (B, size - 15) how many different values the window has that begins at each value of a block."""
    return _count_distinct(np.lib.stride_tricks.sliding_window_view(blocks, WINDOW, axis=-1))


def _place_windows(tells: Indices, item_size: int, last: int) -> Indices:
    """Returns (B, STRIDE) the byte at which the most telling window begins, for each remainder by STRIDE."""
    places = np.empty((len(tells), STRIDE), np.int64)
    for residue in range(STRIDE):
        offered = np.arange(residue, last + 1, STRIDE)
        places[:, residue] = offered[tells[:, offered // item_size].argmax(axis=1)]
    return places


def _count_distinct(values: Values) -> Indices:
    """Returns how many different values there are along the last axis."""
    ordered = np.sort(values, axis=-1)
    counts: Indices = 1 + (ordered[..., 1:] != ordered[..., :-1]).sum(axis=-1)
    return counts


def _unite(parts: Sequence[Fingerprint]) -> Fingerprint:
    """Returns the blocks of the same payloads in all their forms as one fingerprint."""
    joined = join(parts)
    return Fingerprint(
        **vars(joined)
        | {
            "block_items": np.concatenate([part.block_items for part in parts]),
            "block_spots": np.concatenate([part.block_spots for part in parts]),
        }
    )
