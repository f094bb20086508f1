"""Fingerprints of what this workspace holds of people, taken before their keys are destroyed: copies are found by them.

They are of every payload that work tree and DVC cache have of these people, and of the source's own image files where
these are at hand. What somebody else has, too, is no sign of these people, and left out.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image

from amun.core.errors import AmunError
from amun.core.keys import load_secret, subject_keys
from amun.core.paths import (
    ADVERSARIAL,
    AUDIT_LOGITS,
    CALIBRATION,
    HELD_OUT_ADVERSARIAL,
    TARGET_LOGITS,
    TEST,
    TRAIN,
    locate_source,
)
from amun.core.subject_ids import normalise
from amun.scan.files import find_body
from amun.scan.fingerprint import ANSWER, FILE, IMAGE, NEAR_COPY, SEALED, Fingerprint, join
from amun.scan.hashing import WindowHash
from amun.scan.matcher import Matcher
from amun.scan.taking import FingerprintTaker, lay_out
from amun.store.pictures import read_file
from amun.store.rows import Mask, RowReader, Strings
from amun.store.sources.catalogue import Opener, list_source
from amun.vault import fingerprints
from amun.vault.vault import Vault
from tasks.workspace.store_files import Locks, list_contents
from tasks.workspace.workspace import Workspace

KIND_OF = {
    TRAIN: IMAGE,
    CALIBRATION: IMAGE,
    TEST: IMAGE,
    ADVERSARIAL: NEAR_COPY,
    HELD_OUT_ADVERSARIAL: NEAR_COPY,
    AUDIT_LOGITS: ANSWER,
    TARGET_LOGITS: ANSWER,
}

Takers = Mapping[str, FingerprintTaker]  # by person


def keep_fingerprints(workspace: Workspace, vault: Vault, people: Collection[str], locks: Locks, now: datetime) -> None:
    """Takes the fingerprints of people who are about to be erased, and keeps them in the key store.

    Said again, what is new is added to what is kept: a call that was killed may have destroyed the keys already.

    Args:
        workspace: whose work tree and DVC cache are looked into.
        vault: of the workspace.
        people: their ids, composed (NFC).
        locks: the outputs of all waves.
        now: the present time.

    Raises:
        InputError, AmunError: the key store does not answer.
    """
    before = read_fingerprints(vault, people)
    taken = take_fingerprints(workspace, vault, people, locks, known=before)
    until = now + timedelta(days=workspace.params.receipts.retention_days)
    for person, fingerprint in taken.items():
        kept = before.get(person)
        whole = fingerprint if kept is None else join([kept, fingerprint.without(kept)])
        fingerprints.keep_fingerprint(vault, person, whole.dump(), until)


def read_fingerprints(vault: Vault, people: Collection[str]) -> dict[str, Fingerprint]:
    """Returns the fingerprints of those of these people of whom one is kept; raises as that of the vault."""
    return {
        person: Fingerprint.load(content) for person, content in fingerprints.read_fingerprints(vault, people).items()
    }


def take_fingerprints(
    workspace: Workspace, vault: Vault, people: Collection[str], locks: Locks, *, known: Collection[str] = ()
) -> dict[str, Fingerprint]:
    """Returns a fingerprint of each of these people, by their composed ids; what cannot be read is counted in it.

    Args:
        workspace: whose work tree and DVC cache are looked into.
        vault: of the workspace.
        people: their ids, composed (NFC).
        locks: the outputs of all waves.
        known: those of them whose samples were seen while their keys were there; of all others, rows without a key are
            samples that nobody can look for.

    Raises:
        InputError, AmunError: the key store does not answer.
    """
    window_hash = WindowHash.derive(fingerprints.fingerprint_key(vault))
    takers = {person: FingerprintTaker(window_hash) for person in people}
    if not takers:
        return {}
    # each content once, whatever names it has
    kinds = {copy: KIND_OF[name] for name, copy in list_contents(workspace.root, locks, tuple(KIND_OF))}
    secret = load_secret(workspace.root)
    own = {key: person for person in people for key in subject_keys(secret, person)} | {one: one for one in people}
    for path, kind in kinds.items():
        try:
            _take_file(takers, own, path, kind, known)
        except AmunError:
            for taker in takers.values():
                taker.count_unread()
    _take_source(workspace, takers)
    taken = {person: taker.finish() for person, taker in takers.items()}
    return _leave_out_shared(window_hash, taken, own, [path for path, kind in kinds.items() if kind == IMAGE])


def _take_file(takers: Takers, own: Mapping[str, str], path: Path, kind: int, known: Collection[str]) -> None:
    """Takes what a store file holds of these people: what can be opened, and all sealed rows as they are."""
    with RowReader(path) as reader:
        owners = _find_owners(reader, own)
        is_own = owners != ""
        for person, row in zip(owners[is_own].tolist(), reader.read_sealed(is_own), strict=False):
            takers[person].add_content(SEALED, row)
        is_erased = reader.find_erased()
        for person in set(owners[is_own & is_erased].tolist()).difference(known):
            takers[person].count_unread()
        _take_rows(takers, owners, reader, kind, is_own & ~is_erased)


def _find_owners(reader: RowReader, own: Mapping[str, str]) -> Strings:
    """Returns (N,) whose each row is of these people; empty where it is nobody's of them."""
    names = reader.read_subject_ids()
    people, places = np.unique(names, return_inverse=True)
    found = [own.get(name, own.get(normalise(name), "")) for name in people.tolist()]
    return np.array(found, dtype=np.str_)[places] if len(names) else names


def _take_rows(takers: Takers, owners: Strings, reader: RowReader, kind: int, is_chosen: Mask) -> None:
    """Takes rows that can be opened; of rows that are damaged each by itself, so that they cost nobody another one."""
    try:
        # before the pixels: a file that another release of the decoder refuses is a sign of its person all the same
        people = iter(owners[is_chosen].tolist())
        for _, files in reader.read_files(is_chosen):
            for file, person in zip(files, people, strict=False):
                if file is not None:
                    takers[person].add_content(FILE, find_body(file))
        people = iter(owners[is_chosen].tolist())
        for rows in reader.read_groups(is_chosen):
            whose = np.array([next(people) for _ in rows.payloads])
            for person in set(whose.tolist()):
                takers[person].add_payloads(kind, rows.payloads[whose == person])
    except AmunError:
        places = np.flatnonzero(is_chosen)
        if len(places) == 1:
            takers[str(owners[places[0]])].count_unread()
            return
        for half in np.array_split(places, 2):
            is_half = np.zeros_like(is_chosen)
            is_half[half] = True
            _take_rows(takers, owners, reader, kind, is_half)


def _take_source(workspace: Workspace, takers: Takers) -> None:
    """Takes the source's own image files of these people, where it names its people and is at hand."""
    data = workspace.params.data
    if (folder := locate_source(data.root)) is None:
        return
    options = data.options | ({"download": False} if "download" in data.options else {})
    try:
        listing = list_source(data.source, workspace.root / folder, options)
    except AmunError:
        return  # away, or in no order: whoever verifies is told that there are no files
    if listing.subject_ids is None:
        return
    names = [normalise(name) for name in listing.subject_ids.tolist()]
    positions = np.flatnonzero([name in takers for name in names])
    for position, content in zip(positions.tolist(), _read_source(listing.open_images(positions)), strict=True):
        if content is None:
            takers[names[position]].count_unread()
        elif content:
            takers[names[position]].add_content(FILE, find_body(content))


def _read_source(openers: Iterator[Opener]) -> Iterator[bytes | None]:
    """Yields the bytes of each image file; none of an image that lies in no file, None of one that cannot be read."""
    for open_image in openers:
        try:
            opened = open_image()
            if not isinstance(opened, Image.Image):
                yield b""
                continue
            with opened:
                yield read_file(opened)
        except Exception:  # a decoder may raise anything on damaged bytes
            yield None


def _leave_out_shared(
    window_hash: WindowHash, taken: Mapping[str, Fingerprint], own: Mapping[str, str], paths: Collection[Path]
) -> dict[str, Fingerprint]:
    """Returns the fingerprints without those parts of pictures that somebody else's pictures have, too."""
    matcher = Matcher(window_hash, list(taken.values()))
    shared: set[int] = set()
    for path in paths:
        try:
            with RowReader(path) as reader:
                is_other = (_find_owners(reader, own) == "") & ~reader.find_erased()
                for _, files in reader.read_files(is_other):
                    for file in filter(None, files):
                        shared |= matcher.find_blocks(file)
                for rows in reader.read_groups(is_other):
                    for layout in lay_out(rows.payloads):
                        shared |= matcher.find_blocks(layout.tobytes())
        except AmunError:
            continue  # a damaged row of somebody else keeps nobody from being erased
    left, first = {}, 0
    for person, fingerprint in taken.items():
        blocks = np.array([block - first for block in shared if 0 <= block - first < len(fingerprint.block_spots)], int)
        first += len(fingerprint.block_spots)
        spots = np.setdiff1d(fingerprint.block_spots, fingerprint.block_spots[blocks])
        left[person] = fingerprint.keep_spots(spots)
    return left
