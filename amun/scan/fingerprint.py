"""What is kept of a person's payloads, so that copies of them can be looked for, and nothing can be read of them.

A payload is cut into up to eight segments, and of each the most telling block of 64 values is kept: its digest, and the
hashes by which a search comes upon it. Of these there is one for each place that a copy may have between two windows of
the search. So a part of a payload that has a whole segment is found, at whatever byte it begins.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

KINDS = ("image", "near-copy", "answer", "file", "sealed")
IMAGE, NEAR_COPY, ANSWER, FILE, SEALED = range(len(KINDS))
_OF_BLOCKS = ("block_items", "block_spots", "block_sizes", "block_digests")
_OF_WINDOWS = ("window_blocks", "window_offsets", "window_widths", "window_hashes")

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Fingerprint:
    """Of N payloads of a person: B blocks of them, W windows in these.

    Attributes:
        kinds: (N,) uint8, what each is: a position in KINDS.
        digests: (N,) uint64, of each as a whole: the same one is not kept twice.
        block_items: (B,) uint32, the payload that a block is of.
        block_spots: (B,) uint32, equal for the same part of a payload in other number formats.
        block_sizes: (B,) uint16, bytes.
        block_digests: (B,) uint64.
        window_blocks: (W,) uint32, the block that a window is of.
        window_offsets: (W,) uint16, bytes from the block's first to the window's first.
        window_widths: (W,) uint8, bytes.
        window_hashes: (W,) uint32.
        num_unread: (1,) uint32, how many files could not be read when it was taken: it is not whole then.
    """

    kinds: npt.NDArray[np.uint8]
    digests: npt.NDArray[np.uint64]
    block_items: npt.NDArray[np.uint32]
    block_spots: npt.NDArray[np.uint32]
    block_sizes: npt.NDArray[np.uint16]
    block_digests: npt.NDArray[np.uint64]
    window_blocks: npt.NDArray[np.uint32]
    window_offsets: npt.NDArray[np.uint16]
    window_widths: npt.NDArray[np.uint8]
    window_hashes: npt.NDArray[np.uint32]
    num_unread: npt.NDArray[np.uint32]

    @property
    def num_blank(self) -> int:
        """How many payloads have no part by which they could be told from others': they are not looked for."""
        return len(self.kinds) - len(np.unique(self.block_items))

    def keep_spots(self, spots: npt.NDArray[np.uint32]) -> "Fingerprint":
        """Returns what is left without all other spots; the payloads stay, some perhaps with no block."""
        return self._select(np.ones(len(self.kinds), np.bool_), np.isin(self.block_spots, spots))

    def without(self, known: "Fingerprint") -> "Fingerprint":
        """Returns the fingerprint of the payloads that another one does not have."""
        is_item = ~np.isin(self.digests, known.digests)
        return self._select(is_item, is_item[self.block_items])

    def _select(self, is_item: Mask, is_block: Mask) -> "Fingerprint":
        """Returns the fingerprint of these payloads (N,), with these blocks (B,) of theirs."""
        chosen = {"kinds": is_item, "digests": is_item} | dict.fromkeys(_OF_BLOCKS, is_block)
        chosen |= dict.fromkeys(_OF_WINDOWS, is_block[self.window_blocks])
        kept = {name: vars(self)[name][mask] for name, mask in chosen.items()}
        for name, mask in (("block_items", is_item), ("window_blocks", is_block)):
            kept[name] = (np.cumsum(mask, dtype=np.uint32) - np.uint32(1))[kept[name]]
        return Fingerprint(num_unread=self.num_unread, **kept)

    def dump(self) -> bytes:
        """Returns it as bytes, which `load` reads; the payloads are in an order that does not tell how they came."""
        file = io.BytesIO()
        arrays: dict[str, Any] = vars(self._arrange())
        np.savez(file, allow_pickle=False, **arrays)
        return file.getvalue()

    def _arrange(self) -> "Fingerprint":
        """Returns the same with the payloads by their keyed digests, and everything else by the payloads.

        As they come, a person's sealed rows and opened payloads are in the order of the same file's rows: who knows a
        picture would learn by its place which sealed row was the picture's, and so its sample's id.
        """
        items, item_places = _sort(self.digests)
        blocks, block_places = _sort(item_places[self.block_items])
        windows, _ = _sort(block_places[self.window_blocks])
        moved = {name: vars(self)[name][items] for name in ("kinds", "digests")}
        moved |= {name: vars(self)[name][blocks] for name in _OF_BLOCKS}
        moved |= {name: vars(self)[name][windows] for name in _OF_WINDOWS}
        moved["block_items"] = item_places[moved["block_items"]]
        moved["window_blocks"] = block_places[moved["window_blocks"]]
        # spots, too, are numbered as they come
        _, firsts, spots = np.unique(moved["block_spots"], return_index=True, return_inverse=True)
        moved["block_spots"] = _sort(firsts)[1][spots]
        return Fingerprint(num_unread=self.num_unread, **moved)

    @classmethod
    def load(cls, content: bytes) -> Self:
        """Returns what `dump` has written."""
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return cls(**{field.name: arrays[field.name] for field in fields(cls)})


def _sort(values: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """Returns which value comes at each place once they are sorted, and the new place of each; equal ones stay so."""
    order = np.argsort(values, kind="stable")
    places = np.empty(len(order), np.uint32)
    places[order] = np.arange(len(order), dtype=np.uint32)
    return order, places


def join(parts: Sequence[Fingerprint]) -> Fingerprint:
    """Returns one fingerprint of the payloads of all, one after the other."""
    items, spots, blocks = 0, 0, 0
    moved: list[dict[str, Any]] = []
    for part in parts:
        shifts = {"block_items": items, "block_spots": spots, "window_blocks": blocks}
        moved.append(vars(part) | {name: vars(part)[name] + np.uint32(shift) for name, shift in shifts.items()})
        items += len(part.kinds)
        spots += int(part.block_spots.max(initial=0)) + 1
        blocks += len(part.block_items)
    joined = {field.name: np.concatenate([part[field.name] for part in moved]) for field in fields(Fingerprint)}
    # the same files could not be read each time
    joined["num_unread"] = joined["num_unread"].max(keepdims=True)
    return Fingerprint(**joined)


def describe_nothing(num_unread: int) -> Fingerprint:
    """Returns a fingerprint of no payload."""
    return Fingerprint(
        kinds=np.empty(0, np.uint8),
        digests=np.empty(0, np.uint64),
        block_items=np.empty(0, np.uint32),
        block_spots=np.empty(0, np.uint32),
        block_sizes=np.empty(0, np.uint16),
        block_digests=np.empty(0, np.uint64),
        window_blocks=np.empty(0, np.uint32),
        window_offsets=np.empty(0, np.uint16),
        window_widths=np.empty(0, np.uint8),
        window_hashes=np.empty(0, np.uint32),
        num_unread=np.full(1, num_unread, np.uint32),
    )
