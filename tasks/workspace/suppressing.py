"""What of a workspace belongs on the suppression list: the pictures of those who are about to be erased."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar

from amun.core.errors import AmunError
from amun.core.keys import load_secret, subject_keys
from amun.core.subject_ids import normalise
from amun.evidence.wave import ForgottenWave, list_gone, read_forgotten
from amun.store.store import read_owners
from amun.store.twins import find_others, find_pictures
from tasks.tools.contents import find_cached
from tasks.tools.digests import compute_md5
from tasks.workspace.store_files import Locks
from tasks.workspace.twins import STORES, may_have_had_twins, may_have_twins
from tasks.workspace.workspace import Workspace

Read = TypeVar("Read")


def find_own_pictures(
    workspace: Workspace, people: Collection[str], commits: Mapping[int, str], locks: Locks
) -> tuple[set[bytes], str]:
    """Returns the digests of the pictures of these people, in each base that is at hand, as long as they can be opened.

    Those that somebody has who is not forgotten are that person's, too, and left out (`data.twins: keep`), where the
    two are in one base, or the other person is in the work tree's.

    Args:
        workspace: whose work tree and DVC cache are looked into.
        people: their ids, composed (NFC).
        commits: of the waves.
        locks: the outputs of the same waves.

    Returns:
        The digests, and what is wrong with the first sample or file that could not be read; empty where all were.
    """
    root = workspace.root
    line = read_forgotten(root)
    gone, is_forgotten = set(list_gone(line)), _recognise(root, line)
    problems: list[str] = []
    found = set[bytes]()
    for contents, commit in _list_bases(root, commits, locks).items():
        paths = list(find_cached(root, contents).values())
        own, own_ids = _read_own(paths, people, problems)
        shared = own if own and may_have_had_twins(root, commit) else set()
        found |= own - _read_others(paths, shared, own_ids | gone, is_forgotten, problems)
    paths = [root / path for path in STORES]
    own, own_ids = _read_own(paths, people, problems)
    # whoever came with a later base may have brought a picture of an earlier one
    shared = found | own if may_have_twins(root) else found - own
    others = _read_others(paths, shared, own_ids | gone, is_forgotten, problems)
    return (found | own) - others, next(iter(problems), "")


def _recognise(root: Path, line: Sequence[ForgottenWave]) -> Callable[[str], bool]:
    """Returns what tells whether a line has forgotten a person: another base may have other ids for the samples."""
    secret = load_secret(root)
    forgotten = {key for wave in line for key in wave.people_keys}
    return cache(lambda name: not forgotten.isdisjoint(subject_keys(secret, name)))


def _list_bases(root: Path, commits: Mapping[int, str], locks: Locks) -> dict[tuple[str, ...], str]:
    """Returns a commit of each base that is not the work tree's, by the MD5s of its samples.

    The data stay the same through all waves of a base. HEAD's are not the work tree's while a new base is being made.
    """
    bases = {
        tuple(lock[path] for path in map(str, STORES) if path in lock): commits[number]
        for number, lock in locks.items()
    }
    checked_out = tuple(compute_md5(root / path) for path in STORES)
    return {contents: commit for contents, commit in bases.items() if contents != checked_out}


def _read_own(paths: Iterable[Path], people: Collection[str], problems: list[str]) -> tuple[set[bytes], set[str]]:
    """Returns what these people's samples show, and the ids of the samples."""
    pictures, own_ids = set[bytes](), set[str]()
    for owners, path in _read_each(paths, lambda path: (read_owners(path), path), problems):
        rows = zip(owners.sample_ids.tolist(), owners.subject_ids.tolist(), strict=True)
        found = [sample_id for sample_id, name in rows if normalise(name) in people]
        own_ids.update(found)
        pictures |= _read_pictures(path, found, problems)
    return pictures, own_ids


def _read_pictures(path: Path, sample_ids: list[str], problems: list[str]) -> set[bytes]:
    """Returns what these samples show, those beside a damaged one, too."""
    try:
        return set(find_pictures([path], set(sample_ids), skip_erased=True))
    except AmunError as error:
        if len(sample_ids) == 1:
            problems.append(str(error))
            return set()
        half = len(sample_ids) // 2
        return _read_pictures(path, sample_ids[:half], problems) | _read_pictures(path, sample_ids[half:], problems)


def _read_others(
    paths: Iterable[Path],
    pictures: set[bytes],
    without: set[str],
    is_forgotten: Callable[[str], bool],
    problems: list[str],
) -> set[bytes]:
    """Returns those of the pictures that others have, too, who are not forgotten."""
    read = _read_each(paths, lambda path: find_others([path], pictures, without, skip_erased=True), problems)
    return {twin.picture for twins in read for twin in twins if not is_forgotten(twin.subject_id)}


def _read_each(paths: Iterable[Path], read: Callable[[Path], Read], problems: list[str]) -> Iterator[Read]:
    """Yields what is read of each file; a damaged one must not cost the people of all others their entries."""
    for path in paths:
        try:
            found = read(path)
        except AmunError as error:
            problems.append(str(error))
        else:
            yield found
