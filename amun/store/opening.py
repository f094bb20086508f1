"""Opens what a stage computes on: images are held in memory as long as they fit, and otherwise stay sealed on disk."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from amun.core.errors import InputError
from amun.core.memory import GIB, count_free_memory
from amun.core.params import RuntimeParams
from amun.store.image_sets import HeldImages, ImageSet, bring, normalise
from amun.store.rows import RowReader
from amun.store.samples import StoredSamples, choose_rows
from amun.store.sealed_rows import SealedRows


@dataclass(frozen=True)
class SealedImages(ImageSet):
    """Images that lie sealed in a store file; a batch is opened each time it is asked for, and kept nowhere."""

    rows: SealedRows
    image_shape: tuple[int, ...]
    to_device: torch.device
    is_sealed = True

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C, H, W)."""
        return len(self.rows), *self.image_shape

    @property
    def device(self) -> torch.device:
        """Where batches lie."""
        return self.to_device

    def batch(self, rows: Tensor) -> Tensor:
        """Returns the images at these rows; see `ImageSet`."""
        return normalise(bring(torch.from_numpy(self.rows.open(rows.numpy())), self.device))

    def digest(self, rows: Tensor) -> list[bytes]:
        """Returns the digests of the pixels at these rows; see `ImageSet`."""
        return self.rows.digest(rows.numpy())

    def to(self, device: torch.device) -> "SealedImages":
        """Returns the set whose batches lie on another device."""
        return replace(self, to_device=device)


class SampleOpener:
    """Opens a stage's store files of images, in turn, as far as there is room in memory."""

    def __init__(self, runtime: RuntimeParams, device: torch.device) -> None:
        """Sees how much room there is.

        Args:
            runtime: `memory_gib`, of the images that a stage holds; None for half of what is free now.
            device: where batches are to lie.
        """
        given = runtime.memory_gib
        self._room = count_free_memory() // 2 if given is None else int(given * GIB)
        self._device = device

    def open(self, path: Path, *, sample_ids: list[str] | None = None, without: Sequence[str] = ()) -> StoredSamples:
        """Returns samples of a store file in its order; each of them is opened once, for its label.

        Args:
            path: of the file.
            sample_ids: which; None takes all.
            without: which not: of people who are gone, whose keys may be destroyed.

        Raises:
            InputError: they do not fit into memory, and lie in clear; or they are sealed, and the key store cannot be
                had.
            AmunError: they cannot be opened, or are not what was sealed.
        """
        with RowReader(path) as reader:
            is_chosen = choose_rows(reader, sample_ids, without)
            is_held = self._find_room(path, reader, reader.row_bytes * int(is_chosen.sum()))
            pixels = np.empty((int(is_chosen.sum()) if is_held else 0, *reader.shape), reader.dtype)
            labels, subject_ids, done = [np.empty(0, np.int64)], [reader.sample_ids[:0]], 0
            for part in reader.read_groups(is_chosen) if is_held else ():
                labels.append(part.labels)
                subject_ids.append(part.subject_ids)
                pixels[done : done + len(part.labels)] = part.payloads
                done += len(part.labels)
            for people, classes in () if is_held else reader.read_labels(is_chosen):
                labels.append(classes)
                subject_ids.append(people)
            images: ImageSet = HeldImages(self._place(torch.from_numpy(pixels)), self._device)
            if not is_held:
                images = SealedImages(reader.locate(is_chosen), reader.shape, self._device)
            owners = reader.sample_ids[is_chosen], np.concatenate(subject_ids)
            return StoredSamples(*owners, torch.from_numpy(np.concatenate(labels)), images)

    def _find_room(self, path: Path, reader: RowReader, num_bytes: int) -> bool:
        """Tells whether so many bytes of a file's images fit into memory, and takes the room.

        Raises:
            InputError: they do not, and lie in clear.
        """
        if num_bytes <= self._room:
            self._room -= num_bytes
            return True
        if reader.is_sealed:
            return False
        raise InputError(
            f"{path}: its images take {num_bytes / GIB:.3g} GiB of memory, where runtime.memory_gib leaves "
            f"{self._room / GIB:.3g}, and images in clear (data.sealed: false) are not opened batch by batch; raise "
            "runtime.memory_gib, or seal them and build a new base"
        )

    def _place(self, pixels: Tensor) -> Tensor:
        """Returns images on the device, unless they would take more than half of what is free there."""
        if self._device.type == "cuda" and pixels.nbytes > torch.cuda.mem_get_info(self._device)[0] // 2:
            return pixels
        return pixels.to(self._device)
