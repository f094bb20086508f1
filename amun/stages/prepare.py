"""Stage `prepare`: lists the source, splits its samples by subject, names them by keyed ids, fills the sample store."""

import json
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

import numpy as np
import torch

from amun.core.errors import InputError
from amun.core.keys import keyed_digest, load_secret, subject_key, subject_keys
from amun.core.params import Params
from amun.core.paths import CALIBRATION, EXCLUSIONS, PREPARE_METRICS, TEST, TRAIN, locate_source
from amun.core.progress import show_progress
from amun.evidence.figures import PrepareFigures
from amun.evidence.wave import write_json
from amun.stages.runner import run_stage
from amun.store.images import check_images, read_images
from amun.store.naming import name_by_secret, open_namer
from amun.store.rows import Indices, Mask, Strings
from amun.store.samples import Samples, SampleWriter
from amun.store.sources.catalogue import Listing, list_source, raise_problems
from amun.store.sources.revision import read_revision, require_files
from amun.store.splits import SPLITS, assign_subjects, check_splits, split_held_out, split_subjects
from amun.store.train_list import read_train_list
from amun.store.twins import count_twins, digest_pictures, join_people
from amun.vault.seal import open_seal
from amun.vault.suppression import Suppression
from amun.vault.vault import read_suppression


def prepare(params: Params, _device: torch.device) -> None:
    """Writes one store file for each split, without the subjects named in `data/exclusions.json`."""
    write_json(PREPARE_METRICS, fill_store(params, Path()))


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
    require_files(params.data.root)
    suppression = read_suppression(is_sealed=params.data.sealed)
    listing = list_source(params.data.source, locate_source(params.data.root), params.data.options)
    listing = listing.excuse(suppression.has_person)
    size = check_images(listing, params.data.images)
    is_train = None
    if params.data.train_list is not None:
        is_train = read_train_list(Path(params.data.train_list), listing.keys, listing.absent_keys)
    subject_ids = _name_subjects(listing, is_train, params)
    drawn = _draw_positions(len(listing), params)
    is_excluded = _find_excluded(subject_ids[drawn], secret, also_excluded)
    is_suppressed = ~is_excluded & _mark(subject_ids[drawn], suppression.has_person)
    held = drawn[~is_excluded & ~is_suppressed]
    if len(held) == 0:
        raise InputError(
            "params.yaml: data: everybody in the source is forgotten or erased; nothing is left to train on"
        )
    owners, labels = subject_ids[held], listing.labels[held]

    def deal(groups: Strings) -> Strings:
        dealt = _split(groups, labels, None if is_train is None else is_train[held], params)
        check_splits(dealt, owners, labels, listing.classes)
        return dealt

    splits = deal(owners)
    write = partial(_write_stores, params, folder, listing, held, subject_ids, size, secret, also_excluded, suppression)
    pictures, is_left_out, is_known = write(splits)
    # only once the images are read it is known who shares a picture; where all is well they are not read again
    groups = join_people(owners, pictures, _choose_largest(len(held), params))
    if not np.array_equal(groups, owners) and not np.array_equal(joined := deal(groups), splits):
        splits = joined
        write(splits)
    is_in = ~is_left_out & ~is_known
    if is_known.any():
        check_splits(splits[is_in], owners[is_in], labels[is_in], listing.classes)
    num_train, num_calibration, num_test = (int((splits[is_in] == split).sum()) for split in SPLITS)
    return PrepareFigures(
        num_train=num_train,
        num_calibration=num_calibration,
        num_test=num_test,
        num_excluded=int(is_excluded.sum() + is_left_out.sum()),
        num_suppressed=int(is_suppressed.sum() + is_known.sum()),
        num_suppressed_pictures=int(is_known.sum()),
        num_near=sum(map(suppression.is_near, np.unique(owners[is_in]).tolist())),
        twins=count_twins(
            owners[is_in], labels[is_in], splits[is_in], [pictures[row] for row in np.flatnonzero(is_in)]
        ),
        classes=_name_classes(listing.classes, subject_ids, secret),
        people_digest=_digest_invented(listing, subject_ids, secret),
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


def _name_subjects(listing: Listing, is_train: Mask | None, params: Params) -> Strings:
    """Returns (N,) subject ids: the source's own, or else invented ones, each trained on with all samples or none."""
    if listing.subject_ids is not None:
        return listing.subject_ids
    max_samples, seed = params.data.subject_max_samples, params.data.seed
    if is_train is None:
        return assign_subjects(len(listing), max_samples, seed)
    trained = assign_subjects(int(is_train.sum()), max_samples, seed)
    held_out = assign_subjects(int((~is_train).sum()), max_samples, seed, first=len(np.unique(trained)) + 1)
    subject_ids = np.empty(len(listing), dtype=np.result_type(trained, held_out))
    subject_ids[is_train], subject_ids[~is_train] = trained, held_out
    return subject_ids


def _draw_positions(num_images: int, params: Params) -> Indices:
    """Returns the ascending positions of `data.num_samples` images, or of all."""
    if params.data.num_samples is None or params.data.num_samples >= num_images:
        return np.arange(num_images)
    return np.sort(np.random.default_rng(params.data.seed).permutation(num_images)[: params.data.num_samples])


def _choose_largest(num_samples: int, params: Params) -> float:
    """Returns how many samples people who share pictures may hold together, to be dealt as one: half of a split."""
    train_fraction, calibration_fraction = params.data.train_fraction, params.data.calibration_fraction
    return num_samples * min(train_fraction, calibration_fraction, 1 - train_fraction - calibration_fraction) / 2


def _find_excluded(subject_ids: Strings, secret: bytes, also: Collection[str]) -> Mask:
    """Returns (N,) bool: whose subject is forgotten."""
    keys = _read_exclusions(also)
    return _mark(subject_ids, lambda subject_id: not keys.isdisjoint(subject_keys(secret, subject_id)))


def _mark(subject_ids: Strings, is_meant: Callable[[str], bool]) -> Mask:
    """Returns (N,) bool: whose subject is meant; each subject is asked for once."""
    meant = [subject_id for subject_id in np.unique(subject_ids).tolist() if is_meant(subject_id)]
    return np.isin(subject_ids, np.array(meant, dtype=np.str_))


def _read_exclusions(also: Collection[str]) -> set[str]:
    """Returns the keyed ids of all who are left out: people, and samples that show a forgotten person's picture."""
    return {*json.loads(EXCLUSIONS.read_text(encoding="utf-8")), *also}


def _split(subject_ids: Strings, labels: Indices, is_train: Mask | None, params: Params) -> Strings:
    train_fraction, calibration_fraction = params.data.train_fraction, params.data.calibration_fraction
    if is_train is not None:
        share = calibration_fraction / (1 - train_fraction)
        return split_held_out(subject_ids, labels, is_train, share, params.data.seed)
    fractions = (train_fraction, calibration_fraction, 1 - train_fraction - calibration_fraction)
    return split_subjects(subject_ids, labels, fractions, params.data.seed)


def _write_stores(
    params: Params,
    folder: Path,
    listing: Listing,
    held: Indices,
    subject_ids: Strings,
    size: tuple[int, int],
    secret: bytes,
    also_excluded: Collection[str],
    suppression: Suppression,
    splits: Strings,
) -> tuple[list[bytes], Mask, Mask]:
    """Reads the images once, and writes each to the store file of its split; all files or none.

    Returns:
        The digest of each picture; (N,) bool: which samples were left out because they show a forgotten person's; and
        (N,) bool: which of the others because they show an erased person's.
    """
    stores = zip(SPLITS, (TRAIN, CALIBRATION, TEST), strict=True)
    excluded = frozenset(_read_exclusions(also_excluded))
    seal = open_seal(params.data.sealed, "base without", *sorted(excluded))
    namer = open_namer(secret, is_sealed=params.data.sealed)
    writers = {split: SampleWriter(folder / path, seal) for split, path in stores}
    problems: list[str] = []
    pictures: list[bytes] = []
    is_left_out, is_known = np.zeros((2, len(held)), dtype=np.bool_)
    done = 0
    with show_progress("prepare", len(held), "images") as advance:
        for batch in read_images(listing, held, params.data.images, size):
            problems += batch.problems
            if batch.pixels is not None and not problems:
                rows, owners = slice(done, done + len(batch.positions)), subject_ids[batch.positions]
                pictures += digest_pictures(batch.pixels)
                secret_ids = name_by_secret(secret, (listing.keys[one] for one in batch.positions), batch.pixels)
                is_left_out[rows] = namer.find_among(excluded, secret_ids, owners)
                is_known[rows] = [suppression.has_picture(picture) for picture in pictures[rows]]
                is_known[rows] &= ~is_left_out[rows]
                is_in = ~is_left_out[rows] & ~is_known[rows]
                # whoever is held with no sample gets no key
                sample_ids = namer.name(secret_ids[is_in], owners[is_in])
                labels = torch.from_numpy(listing.labels[batch.positions[is_in]])
                samples = Samples(sample_ids, owners[is_in], labels, torch.from_numpy(batch.pixels[is_in]))
                for split, writer in writers.items():
                    writer.append(samples.select(splits[rows][is_in] == split))
            done += len(batch.positions)
            for _ in batch.positions:
                advance()
    for writer in writers.values():
        writer.discard() if problems else writer.finish()
    raise_problems(problems)
    return pictures, is_left_out, is_known


if __name__ == "__main__":
    run_stage(prepare)
