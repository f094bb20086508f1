"""Pictures of other people that are as near to a person's as its own copies, encoded anew: looked for, never kept.

Of erased people the suppression list has exact digests alone. A digest by which near pictures could be found (a
perceptual hash) is a small copy of the picture, and would have to be kept after the erasure. So near pictures are found
as long as the person's can be opened, by the pictures themselves.
"""

import io
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from amun.core.errors import InputError
from amun.core.subject_ids import normalise
from amun.evidence.wave import list_gone, read_forgotten
from amun.store.samples import Samples, read_in_groups
from amun.store.store import read_owners
from tasks.workspace.twins import STORES
from tasks.workspace.workspace import Workspace

Levels = npt.NDArray[np.float32]  # (N, C, H, W), 0 to 255

QUALITY = 50  # of JPEG; Pillow writes 75 where nobody says another
LEVELS = 255.0


@dataclass(frozen=True)
class NearPicture:
    """A sample of somebody whose picture is nearly one of another person's.

    Attributes:
        path: the store file that holds it.
        sample_id: its keyed id.
        subject_id: whose it is.
        own_id: the keyed id of the person's own sample that it is nearest to.
        difference: root of the mean square of the pixels' differences, in grey levels of 255.
        bound: by how much a copy of the own sample differs from it that was encoded anew, likewise.
    """

    path: Path
    sample_id: str
    subject_id: str
    own_id: str
    difference: float
    bound: float


def find_near(workspace: Workspace, subject_id: str) -> list[NearPicture]:
    """Returns the samples of others whose pictures are as near to a person's as copies of these are.

    People who are forgotten are left out, but for the person.

    Raises:
        InputError: nothing is held of the person that can be opened.
        AmunError: a sample is damaged, or the keys are not at hand.
    """
    root = workspace.root
    return find_near_in([root / path for path in STORES], subject_id, list_gone(read_forgotten(root)))


def find_near_in(paths: Sequence[Path], subject_id: str, gone_ids: Collection[str] = ()) -> list[NearPicture]:
    """Returns whose pictures are no farther from one of a person's than that one's own copies, the nearest first.

    A copy is what is left of the picture as a JPEG file of quality 50. So each picture has its own bound, and none is
    set by hand. Crops, turned and mirrored pictures are not found.

    Note:
        A copy scaled down and back is no bound: of 8 x 8 pixels it leaves less than tells two digits apart.

    Args:
        paths: of the store files, which are read twice, a part at a time.
        subject_id: the person, whose samples can be opened.
        gone_ids: samples that are not opened, of people who are forgotten or erased.

    Raises:
        InputError: nothing is held of the person that can be opened.
        AmunError: a sample is damaged.
    """
    own_ids, own = _read_own(paths, subject_id)
    if not own_ids:
        raise InputError(f"{subject_id}: nothing is held of this person that can be opened; see `amun subject trace`")
    bounds = np.array([_find_bound(levels) for levels in own])
    flat = own.reshape(len(own), -1)
    found = []
    for path in paths:
        for part in read_in_groups(path, without=sorted({*own_ids, *gone_ids}), skip_erased=True):
            for row, nearest, difference in _compare(_read_levels(part), flat, bounds):
                owner = str(part.subject_ids[row])
                ids = str(part.sample_ids[row]), owner, own_ids[nearest]
                found.append(NearPicture(path, *ids, difference, float(bounds[nearest])))
    return sorted(found, key=lambda near: (near.difference, near.sample_id))


def _read_own(paths: Sequence[Path], subject_id: str) -> tuple[list[str], Levels]:
    ids, parts, asked = list[str](), list[Levels](), normalise(subject_id)
    for path in paths:
        owners = read_owners(path)
        rows = zip(owners.sample_ids.tolist(), owners.subject_ids.tolist(), strict=True)
        if own := sorted(sample_id for sample_id, name in rows if normalise(name) == asked):
            for part in read_in_groups(path, sample_ids=own, skip_erased=True):
                ids += part.sample_ids.tolist()
                parts.append(_read_levels(part))
    return ids, np.concatenate(parts) if parts else np.zeros((0, 1, 1, 1), np.float32)


def _read_levels(samples: Samples) -> Levels:
    levels: Levels = samples.images.numpy() * np.float32(LEVELS)
    return levels


def _compare(levels: Levels, own: Levels, bounds: npt.NDArray[np.float64]) -> Iterator[tuple[int, int, float]]:
    """Yields each row that is near one of the own pictures: its number, that picture's, and their difference.

    Args:
        levels: (N, C, H, W).
        own: (K, C * H * W).
        bounds: (K,).
    """
    rows = levels.reshape(len(levels), -1)
    # the squares alone choose: what is left of large numbers is computed again
    squares = (rows**2).sum(1)[:, None] + (own**2).sum(1)[None] - 2 * rows @ own.T
    roots = np.sqrt(np.maximum(squares, 0) / own.shape[1])
    for row, nearest in zip(*np.nonzero(roots <= bounds[None] + 1), strict=True):
        difference = _measure(rows[row], own[nearest])
        if difference <= bounds[nearest] and nearest == np.argmin(roots[row] - bounds):
            yield int(row), int(nearest), difference


def _find_bound(levels: npt.NDArray[np.float32]) -> float:
    """Returns by how much a picture (C, H, W) differs from its own copy as a JPEG file, in grey levels."""
    bands = np.round(levels).clip(0, LEVELS).astype(np.uint8)
    if len(bands) == 3:
        return _measure(levels, _encode(Image.fromarray(bands.transpose(1, 2, 0))).transpose(2, 0, 1))
    # a band that is no colour is a picture of its own
    return _measure(levels, np.stack([_encode(Image.fromarray(band)) for band in bands]))


def _encode(image: Image.Image) -> npt.NDArray[np.float32]:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return np.asarray(Image.open(file), dtype=np.float32)


def _measure(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2)))
