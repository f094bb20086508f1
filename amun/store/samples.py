"""The sample store: one Parquet file per kind of content, a row's payload the raw bytes of one tensor.

Everything that holds per-sample content (images, adversarial examples, reference logits) goes through here,
so that what must be destroyed for a person is found in one place. A file's rows are sealed, each under its subject's
key, unless `data.sealed` says otherwise; files of either kind are read.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor

from amun.core.counts import tell_count
from amun.core.errors import AmunError
from amun.core.params import ImagesParams
from amun.core.subject_ids import normalise
from amun.store.encoded import EncodedForm
from amun.store.image_sets import HeldImages, ImageSet, JoinedImages
from amun.store.image_sets import normalise as normalise_pixels
from amun.store.row_writer import RowWriter
from amun.store.rows import Indices, Mask, RowReader, Rows, Strings
from amun.vault.seal import Seal

# of the payloads that stand in one row group of a store file
GROUP_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Owners:
    """Whose each of N samples is.

    Attributes:
        sample_ids: (N,) keyed ids, unique.
        subject_ids: (N,) the persons they belong to.
    """

    sample_ids: Strings
    subject_ids: Strings

    def __len__(self) -> int:
        return len(self.sample_ids)

    def is_among(self, sample_ids: list[str]) -> Mask:
        """Returns (N,) bool: whose id is one of `sample_ids`."""
        return np.isin(self.sample_ids, np.array(sample_ids, dtype=np.str_))


@dataclass(frozen=True)
class StoredOwners(Owners):
    """Whose the samples of a store file are.

    Attributes:
        is_erased: (N,) bool, which nobody can open any more: the person's key is destroyed.
    """

    is_erased: Mask


@dataclass(frozen=True)
class LabelledSamples(Owners, ABC):
    """N labelled samples, wherever their images lie.

    Attributes:
        labels: (N,) int64 classes.
    """

    labels: Tensor

    @abstractmethod
    def image_set(self, device: torch.device) -> ImageSet:
        """Returns their images, of which batches are taken on the device."""

    @abstractmethod
    def take(self, rows: Indices) -> Self:
        """Returns the samples at these positions (M,), in this order."""

    def select(self, mask: Mask) -> Self:
        """Returns the samples where `mask` (N,) is true, in their order."""
        return self.take(np.flatnonzero(mask))


@dataclass(frozen=True)
class StoredSamples(LabelledSamples):
    """Samples of store files, whose images may lie there still.

    Attributes:
        images: (N, C, H, W).
    """

    images: ImageSet

    def image_set(self, device: torch.device) -> ImageSet:
        """Returns their images, of which batches are taken on the device."""
        return self.images.to(device)

    def take(self, rows: Indices) -> "StoredSamples":
        """Returns the samples at these positions (M,), in this order; no image is opened."""
        chosen = torch.from_numpy(rows)
        return StoredSamples(
            self.sample_ids[rows], self.subject_ids[rows], self.labels[chosen], self.images.choose(chosen)
        )


@dataclass(frozen=True)
class Samples(LabelledSamples):
    """N labelled payloads in memory and whose they are.

    Attributes:
        payloads: (N, ...) one tensor per sample: images (C, H, W) as uint8 or float32 in [0, 1], logits (K, C), ...
    """

    payloads: Tensor

    @property
    def images(self) -> Tensor:
        """The payloads as images: (N, C, H, W) float32 in [0, 1]."""
        return normalise_pixels(self.payloads)

    def image_set(self, device: torch.device) -> HeldImages:
        """Returns their images, of which batches are taken on the device."""
        return HeldImages(self.payloads.to(device), device)

    def slice(self, start: int, end: int) -> "Samples":
        """Returns the samples at the positions from `start` to `end`, which is not among them."""
        return Samples(
            self.sample_ids[start:end], self.subject_ids[start:end], self.labels[start:end], self.payloads[start:end]
        )

    def take(self, rows: Indices) -> "Samples":
        """Returns the samples at these positions (M,), in this order."""
        chosen = torch.from_numpy(rows)
        return Samples(self.sample_ids[rows], self.subject_ids[rows], self.labels[chosen], self.payloads[chosen])

    def align(self, sample_ids: list[str]) -> "Samples":
        """Returns the samples of these ids, in this order.

        Raises:
            AmunError: some are not here.
        """
        order = np.argsort(self.sample_ids)
        wanted = np.array(sample_ids, dtype=np.str_)
        places = np.searchsorted(self.sample_ids, wanted, sorter=order)
        positions = order[np.minimum(places, len(order) - 1)]
        if not np.array_equal(self.sample_ids[positions], wanted):
            num_missing = int((self.sample_ids[positions] != wanted).sum())
            raise AmunError(f"missing from a store file: {tell_count(num_missing, 'sample')}")
        return self.take(positions)


def join_stored(parts: Sequence[StoredSamples]) -> StoredSamples:
    """Returns the samples of all parts, one after the other; no image is opened."""
    return StoredSamples(
        np.concatenate([part.sample_ids for part in parts]),
        np.concatenate([part.subject_ids for part in parts]),
        torch.cat([part.labels for part in parts]),
        JoinedImages([part.images for part in parts]),
    )


def concatenate(parts: list[Samples]) -> Samples:
    """Returns the samples of all parts, one after the other; payloads must agree in shape and dtype."""
    return Samples(
        np.concatenate([part.sample_ids for part in parts]),
        np.concatenate([part.subject_ids for part in parts]),
        torch.cat([part.labels for part in parts]),
        torch.cat([part.payloads for part in parts]),
    )


class SampleWriter:
    """Writes a store file a part at a time; the same samples give the same bytes, in whatever parts they come.

    Until it is finished there is only a file with another ending.
    """

    def __init__(self, path: Path, seal: Seal | None, rules: ImagesParams | None = None) -> None:
        """Names the file.

        Args:
            path: its place; the name without its ending is the kind of its content.
            seal: of the stage that writes it; None where payloads and people's ids are to lie in clear.
            rules: `data.images`, where images may be kept as the files that they came in.
        """
        self._path, self._rules = path, rules
        self._unfinished = path.with_suffix(".unfinished")
        self._waiting: list[Samples] = []
        self._files: list[bytes | None] = []
        self._seal = seal
        self._writer: RowWriter | None = None

    def append(self, samples: Samples, files: Sequence[bytes | None] = ()) -> None:
        """Adds samples whose payloads agree in shape and dtype with those before.

        Args:
            samples: N of them.
            files: (N,) the image files to keep in the payloads' place, None where the payload itself is kept; () for
                that of all.
        """
        self._waiting.append(samples)
        self._files += files or [None] * len(samples)
        num_rows = _choose_group_size(samples)
        if sum(len(part) for part in self._waiting) >= num_rows:
            waiting = concatenate(self._waiting)
            is_whole = len(waiting) // num_rows * num_rows
            for start in range(0, is_whole, num_rows):
                self._write(waiting.slice(start, start + num_rows))
            self._waiting = [waiting.slice(is_whole, len(waiting))]

    def finish(self) -> None:
        """Writes what waits and gives the file its name; at least one part, perhaps empty, must have been added."""
        rest = concatenate(self._waiting)
        if len(rest) or self._writer is None:
            self._write(rest)
        if self._writer is not None:
            self._writer.finish()
        self._unfinished.replace(self._path)

    def discard(self) -> None:
        """Leaves nothing."""
        if self._writer is not None:
            self._writer.close()
        self._unfinished.unlink(missing_ok=True)

    def _write(self, samples: Samples) -> None:
        payloads, labels = samples.payloads.contiguous().cpu().numpy(), samples.labels.cpu().numpy()
        if self._writer is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            encoded = None if self._rules is None else EncodedForm.choose(self._rules, payloads)
            self._writer = RowWriter(self._unfinished, self._path.stem, self._seal, payloads, encoded)
        files, self._files = self._files[: len(samples)], self._files[len(samples) :]
        self._writer.append(Rows(samples.sample_ids, samples.subject_ids, labels, payloads, files))


def _choose_group_size(samples: Samples) -> int:
    """Returns how many rows are written together: what their size says, and nothing else."""
    return max(1, GROUP_BYTES // max(1, samples.payloads[:1].nbytes))


def write_samples(path: Path, samples: Samples, seal: Seal | None) -> None:
    """Writes a store file; the same samples under the same seal give the same bytes."""
    writer = SampleWriter(path, seal)
    writer.append(samples)
    writer.finish()


def count_samples(path: Path) -> int:
    """Returns how many samples a file of the store holds."""
    num_samples: int = pq.read_metadata(path).num_rows
    return num_samples


def read_samples(
    path: Path,
    subject_id: str | None = None,
    *,
    sample_ids: list[str] | None = None,
    without: Sequence[str] = (),
) -> Samples:
    """Returns a store file's samples in its order: all, one subject's, or those of these ids; no other one is opened.

    Args:
        path: of the file.
        subject_id: whose; found however the file composes the letters of the name.
        sample_ids: which.
        without: which not: of people who are gone, whose keys may be destroyed.

    Raises:
        InputError, AmunError: they are sealed, and cannot be opened or are not what was sealed.
    """
    with RowReader(path) as reader:
        is_chosen = choose_rows(reader, sample_ids, without)
        if subject_id is not None:
            is_chosen &= _is_asked(reader.read_subject_ids(), subject_id)
        return _as_samples(reader.read(is_chosen))


def read_files(path: Path, subject_id: str) -> dict[str, bytes]:
    """Returns the image files of one subject's samples by their ids, of those that are kept as files.

    Raises:
        InputError, AmunError: as `read_samples`.
    """
    with RowReader(path) as reader:
        is_chosen = _is_asked(reader.read_subject_ids(), subject_id)
        return {
            sample_id: file
            for sample_ids, files in reader.read_files(is_chosen)
            for sample_id, file in zip(sample_ids.tolist(), files, strict=True)
            if file is not None
        }


def choose_rows(reader: RowReader, sample_ids: Sequence[str] | None, without: Sequence[str]) -> Mask:
    """Returns (N,) bool: which rows of a file are asked for: those of these ids, or all, `without` some."""
    is_chosen = ~np.isin(reader.sample_ids, np.array(without, dtype=np.str_))
    if sample_ids is not None:
        is_chosen &= np.isin(reader.sample_ids, np.array(sample_ids, dtype=np.str_))
    return is_chosen


def _is_asked(subject_ids: Strings, subject_id: str) -> Mask:
    """Returns (N,) bool: whose name is this one, in whatever spelling."""
    people, positions = np.unique(subject_ids, return_inverse=True)
    asked = normalise(subject_id)
    is_asked: Mask = np.array([normalise(person) == asked for person in people.tolist()], dtype=np.bool_)[positions]
    return is_asked


def read_in_groups(
    path: Path, *, sample_ids: Sequence[str] | None = None, without: Sequence[str] = (), skip_erased: bool = False
) -> Iterator[Samples]:
    """Yields what `write_samples` wrote, some rows at a time: no more is held in memory than one of these parts.

    Args:
        path: of the file.
        sample_ids: which; None takes all.
        without: which not.
        skip_erased: samples that nobody can open any more are left out.
    """
    with RowReader(path) as reader:
        is_chosen = choose_rows(reader, sample_ids, without)
        if skip_erased:
            is_chosen &= ~reader.find_erased()
        for rows in reader.read_groups(is_chosen):
            yield _as_samples(rows)


def read_pictures(
    path: Path, *, sample_ids: Sequence[str] | None = None, without: Sequence[str] = (), skip_erased: bool = False
) -> Iterator[tuple[str, str, bytes]]:
    """Yields of samples of a store file each one's id, its owner and the digest of its pixels; as `read_in_groups`."""
    with RowReader(path) as reader:
        is_chosen = choose_rows(reader, sample_ids, without)
        if skip_erased:
            is_chosen &= ~reader.find_erased()
        for ids, subject_ids, pictures in reader.read_pictures(is_chosen):
            yield from zip(ids.tolist(), subject_ids.tolist(), pictures, strict=True)


def read_ids(path: Path) -> list[str]:
    """Returns the ids of the samples in a store file, in its order."""
    with RowReader(path) as reader:
        ids: list[str] = reader.sample_ids.tolist()
        return ids


def _as_samples(rows: Rows) -> Samples:
    return Samples(rows.sample_ids, rows.subject_ids, torch.from_numpy(rows.labels), torch.from_numpy(rows.payloads))
