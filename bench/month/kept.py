"""What somebody has kept from the first day, and who can be read in it on which day."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np

from amun.core.paths import CALIBRATION, TEST, TRAIN
from amun.store.samples import Samples
from amun.store.store import find_readable
from tests.workspaces import Site

# docs/erasure.md: how long whoever is forgotten waits before their key is destroyed
WAITING = timedelta(days=7)


class Look(NamedTuple):
    """Who could be read in what was kept, and when it was tried."""

    at: datetime
    readable: set[str]


class Times(NamedTuple):
    """When somebody was forgotten and erased, as the workspace says."""

    forgotten_at: datetime
    erased_at: datetime


@dataclass(frozen=True)
class Kept:
    """What a thief might have from the first day.

    Attributes:
        sealed: copies of the sealed files of samples.
        pictures: of everybody in them, in clear.
    """

    sealed: Sequence[Path]
    pictures: Mapping[str, Samples]

    def find_readable(self, site: Site) -> set[str]:
        """Returns whom the workspace's keys of now open."""
        with site.use_keys():
            return set().union(*(find_readable(path, self.pictures.keys()) for path in self.sealed))


def keep_first_day(site: Site, folder: Path, seed: int) -> Kept:
    """Returns what is kept of the base: copies of its sealed files, and the pictures of everybody in them."""
    sealed: list[Path] = []
    pictures: dict[str, Samples] = {}
    for path in (TRAIN, CALIBRATION, TEST):
        sealed.append(folder / f"first-day-{path.name}")
        sealed[-1].write_bytes((site.root / path).read_bytes())
        samples = site.read(path)
        pictures |= {
            person: samples.select(samples.subject_ids == person) for person in set(samples.subject_ids.tolist())
        }
    people = sorted(pictures)
    Random(seed).shuffle(people)  # noqa: S311 - of a test, no secret
    return Kept(sealed, {person: pictures[person] for person in people})


def find_untimely(looks: Sequence[Look], times: Mapping[str, Times]) -> Iterator[str]:
    """Whoever is said to be erased can be read no more from then on, and could be until the waiting days were over."""
    for person, (forgotten_at, erased_at) in times.items():
        for look in looks:
            if person in look.readable and look.at >= erased_at:
                yield f"{person} is erased at {erased_at}, and could be read at {look.at}"
            if person not in look.readable and look.at < forgotten_at + WAITING:
                yield f"{person} is forgotten at {forgotten_at}, and could not be read at {look.at}"


def find_pictures(folders: Sequence[Path], pictures: Mapping[str, Samples]) -> Iterator[str]:
    """Looks for pictures, as a program would write them, in every file of these folders."""
    payloads = {(person, part) for person, samples in pictures.items() for part in _list_payloads(samples)}
    for path in [path for folder in folders for path in folder.rglob("*")]:
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            yield from (f"{path} has a picture of {person} in clear" for person, part in payloads if part in content)


def _list_payloads(samples: Samples) -> Iterator[bytes]:
    """Returns pictures as uint8, and as float32."""
    for picture in samples.images.numpy():
        yield np.round(picture * 255).astype(np.uint8).tobytes()
        yield picture.astype(np.float32).tobytes()
