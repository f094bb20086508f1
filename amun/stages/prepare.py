"""Stage `prepare`: lists the source, splits its samples by subject, names them by keyed ids, fills the sample store."""

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from amun.core.counts import tell_count
from amun.core.errors import InputError
from amun.core.keys import keyed_digest, load_secret, subject_key, subject_keys
from amun.core.params import Params
from amun.core.paths import CALIBRATION, EXCLUSIONS, PREPARE_METRICS, TEST, TRAIN, locate_source
from amun.core.progress import show_progress
from amun.evidence.figures import PrepareFigures
from amun.evidence.wave import write_json
from amun.stages.runner import run_stage
from amun.store.alike import Pixels, Size, digest_pictures
from amun.store.images import check_images, read_images
from amun.store.naming import SampleNamer, name_by_secret, open_namer
from amun.store.rows import Indices, Mask, Strings
from amun.store.samples import Samples, SampleWriter
from amun.store.sources.catalogue import Listing, list_source, raise_problems
from amun.store.sources.revision import read_revision, require_files
from amun.store.splits import SPLITS, check_splits, deal_splits, invent_subjects, limit_group
from amun.store.train_list import read_train_list
from amun.store.twins import count_twins, join_people
from amun.vault.seal import open_seal
from amun.vault.suppression import Suppression
from amun.vault.vault import read_suppression


def prepare(params: Params, _device: torch.device) -> None:
    """Writes one store file for each split, without the subjects named in `data/exclusions.json`."""
    write_json(PREPARE_METRICS, fill_store(params, Path()))


@dataclass(frozen=True)
class _Held:
    """The source's samples that are held, as far as that is known before their images are read.

    Attributes:
        listing: the source.
        size: (height, width) of the images, in pixels.
        people: (M,) subject ids of the whole listing.
        is_train: (M,) bool, which are to be trained on; None where they are drawn.
        positions: (N,) ascending, where the held samples stand in the listing.
        excluded: keyed ids of the people and samples that are left out.
        suppression: who was erased.
        num_excluded: samples drawn of people who are forgotten.
        num_suppressed: samples drawn of others who were erased.
    """

    listing: Listing
    size: Size
    people: Strings
    is_train: Mask | None
    positions: Indices
    excluded: frozenset[str]
    suppression: Suppression
    num_excluded: int
    num_suppressed: int

    @property
    def owners(self) -> Strings:
        """(N,) subject ids."""
        return self.people[self.positions]

    @property
    def labels(self) -> Indices:
        """(N,) positions of the classes."""
        return self.listing.labels[self.positions]


@dataclass(frozen=True)
class _Seen:
    """What the images of the held samples have shown.

    Attributes:
        pictures: the digest of each.
        is_left_out: (N,) bool, which are left out because they show a forgotten person's picture.
        is_known: (N,) bool, which of the others because they show an erased person's.
    """

    pictures: list[bytes]
    is_left_out: Mask
    is_known: Mask

    @property
    def is_in(self) -> Mask:
        """(N,) bool: which are in the store."""
        return ~self.is_left_out & ~self.is_known


def fill_store(params: Params, folder: Path, also_excluded: Collection[str] = ()) -> PrepareFigures:
    """Writes the current workspace's store files under `folder`, without anybody who is forgotten or erased.

    Args:
        params: which source, and how it is split.
        folder: where the store is to be.
        also_excluded: keyed subjects to leave out besides those named in `data/exclusions.json`.

    Returns:
        Counts and facts of the source; nothing that names a person.
    """
    secret = load_secret(Path.cwd())
    held = _find_held(params, secret, also_excluded)
    splits = _deal(held, held.owners, params)
    seen = _write_stores(held, splits, params, folder, secret)
    # only once the images are read it is known who shares a picture; where all is well they are not read again
    groups = join_people(held.owners, seen.pictures, limit_group(len(held.positions), params.data))
    if not np.array_equal(groups, held.owners) and not np.array_equal(joined := _deal(held, groups, params), splits):
        splits = joined
        _write_stores(held, splits, params, folder, secret)
    if seen.is_known.any():
        check_splits(splits[seen.is_in], held.owners[seen.is_in], held.labels[seen.is_in], held.listing.classes)
    return _describe(held, splits, seen, params, secret)


def _find_held(params: Params, secret: bytes, also_excluded: Collection[str]) -> _Held:
    require_files(params.data.root)
    suppression = read_suppression(is_sealed=params.data.sealed)
    listing = list_source(params.data.source, locate_source(params.data.root), params.data.options)
    listing = listing.excuse(suppression.has_person)
    size = check_images(listing, params.data.images)
    is_train = None
    if params.data.train_list is not None:
        is_train = read_train_list(Path(params.data.train_list), listing.keys, listing.absent_keys)
    if (people := listing.subject_ids) is None:
        people = invent_subjects(len(listing), is_train, params.data)
    drawn = _draw_positions(len(listing), params)
    excluded = _read_exclusions(also_excluded)
    is_excluded = _mark(people[drawn], lambda subject_id: not excluded.isdisjoint(subject_keys(secret, subject_id)))
    is_suppressed = ~is_excluded & _mark(people[drawn], suppression.has_person)
    positions = drawn[~is_excluded & ~is_suppressed]
    if len(positions) == 0:
        raise InputError(
            "params.yaml: data: everybody in the source is forgotten or erased; nothing is left to train on"
        )
    counts = {"num_excluded": int(is_excluded.sum()), "num_suppressed": int(is_suppressed.sum())}
    return _Held(listing, size, people, is_train, positions, excluded, suppression, **counts)


def _deal(held: _Held, groups: Strings, params: Params) -> Strings:
    """Returns (N,) the split of each held sample; a group (N,) is dealt as one."""
    is_train = None if held.is_train is None else held.is_train[held.positions]
    splits = deal_splits(groups, held.labels, is_train, params.data)
    check_splits(splits, held.owners, held.labels, held.listing.classes)
    return splits


def _describe(held: _Held, splits: Strings, seen: _Seen, params: Params, secret: bytes) -> PrepareFigures:
    is_in = seen.is_in
    owners = held.owners[is_in]
    num_train, num_calibration, num_test = (int((splits[is_in] == split).sum()) for split in SPLITS)
    return PrepareFigures(
        num_train=num_train,
        num_calibration=num_calibration,
        num_test=num_test,
        num_excluded=held.num_excluded + int(seen.is_left_out.sum()),
        num_suppressed=held.num_suppressed + int(seen.is_known.sum()),
        num_suppressed_pictures=int(seen.is_known.sum()),
        num_near=sum(map(held.suppression.is_near, np.unique(owners).tolist())),
        twins=count_twins(
            owners, held.labels[is_in], splits[is_in], [seen.pictures[row] for row in np.flatnonzero(is_in)]
        ),
        classes=_name_classes(held.listing.classes, held.people, secret),
        people_digest=_digest_invented(held.listing, held.people, secret),
        revision=read_revision(params.data.root, secret),
        samples_named_by="person" if params.data.sealed else "secret",
    )


def _name_classes(classes: list[str], subject_ids: Strings, secret: bytes) -> list[str]:
    """Returns the classes' names; one that is a person's too, as git may know it: by the keyed id."""
    people = set(subject_ids.tolist())
    return [subject_key(secret, name) if name in people else name for name in classes]


def _digest_invented(listing: Listing, subject_ids: Strings, secret: bytes) -> str | None:
    """Returns a digest of who was invented for which image; None where the source names its subjects."""
    if listing.subject_ids is not None:
        return None
    pairs = zip(listing.keys, subject_ids, strict=True)
    return keyed_digest(secret, "people", *(f"{key}\n{subject}".encode() for key, subject in pairs))


def _draw_positions(num_images: int, params: Params) -> Indices:
    """Returns the ascending positions of `data.num_samples` images, or of all."""
    if params.data.num_samples is None or params.data.num_samples >= num_images:
        return np.arange(num_images)
    return np.sort(np.random.default_rng(params.data.seed).permutation(num_images)[: params.data.num_samples])


def _mark(subject_ids: Strings, is_meant: Callable[[str], bool]) -> Mask:
    """Returns (N,) bool: whose subject is meant; each subject is asked for once."""
    meant = [subject_id for subject_id in np.unique(subject_ids).tolist() if is_meant(subject_id)]
    return np.isin(subject_ids, np.array(meant, dtype=np.str_))


def _read_exclusions(also: Collection[str]) -> frozenset[str]:
    """Returns the keyed ids of all who are left out: people, and samples that show a forgotten person's picture."""
    return frozenset({*json.loads(EXCLUSIONS.read_text(encoding="utf-8")), *also})


def _write_stores(held: _Held, splits: Strings, params: Params, folder: Path, secret: bytes) -> _Seen:
    """Reads the images once, and writes each to the store file of its split; all files or none."""
    seal = open_seal(params.data.sealed, "base without", *sorted(held.excluded))
    namer = open_namer(secret, is_sealed=params.data.sealed)
    stores = zip(SPLITS, (TRAIN, CALIBRATION, TEST), strict=True)
    with_files = params.data.stored_as == "encoded"
    rules = params.data.images if with_files else None
    writers = {split: SampleWriter(folder / path, seal, rules) for split, path in stores}
    problems: list[str] = []
    seen = _Seen([], *np.zeros((2, len(held.positions)), dtype=np.bool_))
    done = num_files = 0
    with show_progress("prepare", len(held.positions), "images") as advance:
        for batch in read_images(held.listing, held.positions, params.data.images, held.size, with_files=with_files):
            problems += batch.problems
            rows = slice(done, done + len(batch.positions))
            if batch.pixels is not None and not problems:
                samples = _take_in(held, batch.positions, batch.pixels, rows, seen, namer)
                is_in = ~seen.is_left_out[rows] & ~seen.is_known[rows]
                dealt, files = splits[rows][is_in], [batch.files[place] for place in np.flatnonzero(is_in)]
                num_files += sum(file is not None for file in files)
                for split, writer in writers.items():
                    own = np.flatnonzero(dealt == split)
                    writer.append(samples.take(own), [files[place] for place in own])
            done = rows.stop
            for _ in batch.positions:
                advance()
    for writer in writers.values():
        writer.discard() if problems else writer.finish()
    raise_problems(problems)
    if with_files:
        # of some sources none can be kept, which a person would else find out by the size of the store
        print(
            f"  kept as the files that they came in: {num_files} of {tell_count(int(seen.is_in.sum()), 'image')}",
            flush=True,
        )
    return seen


def _take_in(held: _Held, positions: Indices, pixels: Pixels, rows: slice, seen: _Seen, namer: SampleNamer) -> Samples:
    """Returns those of these samples that are in the store; notes in their rows of `seen` what the images show."""
    owners = held.people[positions]
    pictures = digest_pictures(pixels)
    secret_ids = name_by_secret(namer.secret, (held.listing.keys[one] for one in positions), pixels)
    is_left_out = namer.find_among(held.excluded, secret_ids, owners)
    is_known = ~is_left_out & np.array([held.suppression.has_picture(picture) for picture in pictures], dtype=np.bool_)
    seen.pictures.extend(pictures)
    seen.is_left_out[rows], seen.is_known[rows] = is_left_out, is_known
    is_in = ~is_left_out & ~is_known
    # whoever is held with no sample gets no key
    sample_ids = namer.name(secret_ids[is_in], owners[is_in])
    labels = torch.from_numpy(held.listing.labels[positions[is_in]])
    return Samples(sample_ids, owners[is_in], labels, torch.from_numpy(pixels[is_in]))


if __name__ == "__main__":
    run_stage(prepare)
