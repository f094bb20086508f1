"""Images of a set, taken a batch at a time, wherever they lie: in memory, or sealed on disk.

What trains, or passes over a whole set, takes its images from here, so it does the same to the bit whatever fits into
memory. Bytes become floats batch by batch, on the device.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from amun.store.alike import digest_pictures

BATCHES_AHEAD = 2  # are opened while one is computed on
MAX_BYTE = 255


class ImageSet(ABC):
    """N images of which batches are taken."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """(N, C, H, W)."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where batches lie."""

    @property
    @abstractmethod
    def is_sealed(self) -> bool:
        """Whether some are sealed on disk: to take a batch of them takes time."""

    @property
    def is_slow(self) -> bool:
        """Whether to take a batch takes time: it is opened, or goes from the host's memory to a device."""
        return self.is_sealed

    @abstractmethod
    def batch(self, rows: Tensor) -> Tensor:
        """Returns the images at these rows (B,) int64, on the CPU: (B, C, H, W) float32 in [0, 1] on the device.

        Raises:
            DamagedError: one is not what was sealed.
        """

    @abstractmethod
    def digest(self, rows: Tensor) -> list[bytes]:
        """Returns a digest of the pixels of each of the images at these rows (B,): equal where these are.

        Raises:
            DamagedError: as `batch`.
        """

    @abstractmethod
    def to(self, device: torch.device) -> "ImageSet":
        """Returns the set whose batches lie on another device."""

    def __len__(self) -> int:
        """N."""
        return self.shape[0]

    def choose(self, rows: Tensor) -> "ImageSet":
        """Returns the images at these rows (M,), in this order; none of them is copied."""
        return ChosenImages(self, rows.cpu())

    def stream(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yields `batch` of each of these rows; where that takes time, the next ones are taken meanwhile.

        Whoever closes it waits for the batch that is being taken, and no other is.

        Raises:
            DamagedError: as `batch`, in the turn of the batch that cannot be opened.
        """
        if not self.is_slow:
            yield from map(self.batch, batches)
            return
        waiting = deque[Future[Tensor]]()
        opener = ThreadPoolExecutor(1)  # one, so that memory is bounded; ciphers run without Python's lock
        try:
            for rows in batches:
                waiting.append(opener.submit(self.batch, rows))
                if len(waiting) > BATCHES_AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            opener.shutdown(cancel_futures=True)

    def stream_all(self, batch_size: int) -> Iterator[Tensor]:
        """Yields all images in their order, so many at a time."""
        return self.stream(torch.split(torch.arange(len(self)), batch_size) if len(self) else ())

    def digest_all(self, batch_size: int) -> list[bytes]:
        """Returns the digests of all images (N,), so many of which are opened at a time."""
        parts = torch.split(torch.arange(len(self)), batch_size) if len(self) else ()
        return [digest for rows in parts for digest in self.digest(rows)]

    def read_all(self) -> Tensor:
        """Returns all images as one tensor (N, C, H, W) float32 in [0, 1] on the device."""
        return self.batch(torch.arange(len(self)))


@dataclass(frozen=True)
class HeldImages(ImageSet):
    """Images in memory.

    Attributes:
        pixels: (N, C, H, W) uint8, or float32 in [0, 1]; where they do not fit onto the device, in the host's memory.
        to_device: where batches are to lie.
    """

    pixels: Tensor
    to_device: torch.device
    is_sealed = False

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C, H, W)."""
        return tuple(self.pixels.shape)

    @property
    def device(self) -> torch.device:
        """Where batches lie."""
        return self.to_device

    @property
    def is_slow(self) -> bool:
        """Whether batches go to another device."""
        return self.pixels.device.type != self.device.type

    def batch(self, rows: Tensor) -> Tensor:
        """Returns the images at these rows; see `ImageSet`."""
        return normalise(bring(self.pixels[rows.to(self.pixels.device)], self.device))

    def digest(self, rows: Tensor) -> list[bytes]:
        """Returns the digests of the pixels at these rows; see `ImageSet`."""
        return digest_pictures(self.pixels[rows.to(self.pixels.device)].cpu().numpy())

    def read_all(self) -> Tensor:
        """Returns all images as one tensor; one of floats that is there already is not copied."""
        return normalise(self.pixels.to(self.device))

    def to(self, device: torch.device) -> "HeldImages":
        """Returns the set whose batches lie on another device."""
        is_on_device = self.pixels.device.type == self.device.type
        return HeldImages(self.pixels.to(device) if is_on_device else self.pixels, device)


@dataclass(frozen=True)
class ChosenImages(ImageSet):
    """Some images of another set, at rows (M,) of it."""

    images: ImageSet
    rows: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """(M, C, H, W)."""
        return len(self.rows), *self.images.shape[1:]

    @property
    def device(self) -> torch.device:
        """Where batches lie."""
        return self.images.device

    @property
    def is_sealed(self) -> bool:
        """Whether the other set's are."""
        return self.images.is_sealed

    @property
    def is_slow(self) -> bool:
        """Whether the other set's batches are."""
        return self.images.is_slow

    def batch(self, rows: Tensor) -> Tensor:
        """Returns the images at these rows; see `ImageSet`."""
        return self.images.batch(self.rows[rows])

    def digest(self, rows: Tensor) -> list[bytes]:
        """Returns the digests of the pixels at these rows; see `ImageSet`."""
        return self.images.digest(self.rows[rows])

    def to(self, device: torch.device) -> "ChosenImages":
        """Returns the set whose batches lie on another device."""
        return replace(self, images=self.images.to(device))


@dataclass(frozen=True)
class JoinedImages(ImageSet):
    """Several sets of images of one shape, one after the other; none of them is copied."""

    parts: Sequence[ImageSet]

    @cached_property
    def _ends(self) -> Tensor:
        return torch.tensor([len(part) for part in self.parts]).cumsum(0)

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C, H, W), of all parts."""
        return int(self._ends[-1]), *self.parts[0].shape[1:]

    @property
    def device(self) -> torch.device:
        """Where batches lie."""
        return self.parts[0].device

    @property
    def is_sealed(self) -> bool:
        """Whether some part's are."""
        return any(part.is_sealed for part in self.parts)

    @property
    def is_slow(self) -> bool:
        """Whether some part's batches are."""
        return any(part.is_slow for part in self.parts)

    def batch(self, rows: Tensor) -> Tensor:
        """Returns the images at these rows; see `ImageSet`."""
        batch = torch.empty(len(rows), *self.shape[1:], device=self.device)
        for part, places, own in self._deal(rows):
            batch[places.to(self.device)] = part.batch(own)
        return batch

    def digest(self, rows: Tensor) -> list[bytes]:
        """Returns the digests of the pixels at these rows; see `ImageSet`."""
        found = {
            place: digest
            for part, places, own in self._deal(rows)
            for place, digest in zip(places.tolist(), part.digest(own), strict=True)
        }
        return [found[place] for place in range(len(rows))]

    def _deal(self, rows: Tensor) -> Iterator[tuple[ImageSet, Tensor, Tensor]]:
        """Yields each part that has some of these rows, where they stand among them, and which rows of the part."""
        numbers = torch.bucketize(rows, self._ends, right=True)
        for number, part in enumerate(self.parts):
            places = torch.nonzero(numbers == number)[:, 0]
            if len(places):
                yield part, places, rows[places] - (int(self._ends[number]) - len(part))

    def to(self, device: torch.device) -> "JoinedImages":
        """Returns the set whose batches lie on another device."""
        return JoinedImages([part.to(device) for part in self.parts])


AnyImages = Tensor | ImageSet


def as_set(images: AnyImages) -> ImageSet:
    """Returns a set as it is, and a tensor (N, C, H, W) as one."""
    return images if isinstance(images, ImageSet) else HeldImages(images, images.device)


def join_images(parts: Sequence[AnyImages]) -> AnyImages:
    """Returns the images of all parts, one after the other; of tensors alone as one."""
    tensors = [part for part in parts if isinstance(part, Tensor)]
    return torch.cat(tensors) if len(tensors) == len(parts) else JoinedImages([as_set(part) for part in parts])


def bring(pixels: Tensor, device: torch.device) -> Tensor:
    """Returns a batch on the device; to CUDA from memory that stays in its place: nobody waits for such a copy."""
    if device.type == "cuda" and pixels.device.type == "cpu":
        return pixels.pin_memory().to(device, non_blocking=True)
    return pixels.to(device)


def normalise(pixels: Tensor) -> Tensor:
    """Returns pixels as float32 in [0, 1]: bytes by their share of 255, rounded the same on every device."""
    if pixels.dtype != torch.uint8:
        return pixels
    # by a tensor: CUDA multiplies by the reciprocal of a number, which rounds otherwise
    return pixels.float() / torch.full((), float(MAX_BYTE), device=pixels.device)
