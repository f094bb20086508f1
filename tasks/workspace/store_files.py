"""The files of the sample store that each wave's commit names, and how much of one person is in them.

Each content is read once from the DVC cache, for the data stay the same through all waves of a base. Where the cache
has lost a file, the ledger still knows what the latest base holds.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from amun.core.errors import InputError
from amun.core.paths import (
    ADVERSARIAL,
    AUDIT_LOGITS,
    BASE_MODEL,
    CALIBRATION,
    HELD_OUT_ADVERSARIAL,
    TARGET_LOGITS,
    TARGET_WEIGHTS,
    TEST,
    TRAIN,
    UNLEARNED,
)
from amun.ledger import Holding
from amun.store.rows import is_sealed
from amun.store.store import read_owners, read_share
from amun.vault.sealed_weights import is_in_clear
from tasks.tools import dvc
from tasks.tools.contents import find_cached
from tasks.tools.digests import compute_md5
from tasks.tools.git import has_commit
from tasks.workspace.history import tell_how_to_fetch

BASE = (TRAIN, CALIBRATION, TEST)
CONTENT = (*BASE, ADVERSARIAL, HELD_OUT_ADVERSARIAL, AUDIT_LOGITS, TARGET_LOGITS)
WEIGHTS = (BASE_MODEL, TARGET_WEIGHTS, UNLEARNED)
OF_A_WAVE = (str(ADVERSARIAL), str(HELD_OUT_ADVERSARIAL))  # whose samples are not those of a base

Key = TypeVar("Key", int, str)


def explain_missing(root: Path, paths: Sequence[Path] = BASE) -> str:
    """Returns which file of the sample store, or of these, is not at hand, and what brings it; empty if all are."""
    missing = [path for path in paths if not (root / path).exists()]
    return f"{missing[0]} is not in {root}; `dvc checkout` or `dvc pull` brings it" if missing else ""


Locks = Mapping[int, Mapping[str, str]]  # for each wave the MD5 of every output, by path


@dataclass(frozen=True)
class StoreFile:
    """One content of a file that holds samples, and how much of the person is in it.

    Attributes:
        path: in the workspace.
        md5: of the content, as `dvc.lock` names it.
        waves: whose commits name it.
        num_samples: the person's; None where that cannot be known, or the ledger has only the sum of both held-out
            files.
        known_from: `file`, `ledger`, or `nothing` where the cache has lost the file and the ledger knows another base.
        is_erased: nobody can open them any more: the person's key is destroyed.
    """

    path: str
    md5: str
    waves: tuple[int, ...]
    num_samples: int | None
    known_from: str
    is_erased: bool = False


def read_lock(root: Path, commit: str) -> dict[str, str]:
    """Returns the MD5 of every output at a commit, by path; nothing where the commit is not in this clone."""
    return dvc.list_digests(dvc.read_lock_at(root, commit)) if has_commit(root, commit) else {}


def read_locks(root: Path, commits: Mapping[Key, str]) -> dict[Key, dict[str, str]]:
    """Returns the same for several commits, by what they are known by."""
    return {key: read_lock(root, commit) for key, commit in commits.items()}


def find_base(root: Path, commit: str) -> list[Path]:
    """Returns what the cache has of the base's samples at a wave's commit."""
    lock = read_lock(root, commit)
    return list(find_cached(root, {lock[str(path)] for path in BASE if str(path) in lock}).values())


def find_erased_owners(root: Path, commit: str, sample_ids: Collection[str]) -> frozenset[str]:
    """Returns the keyed ids of those who own one of these samples at a wave's commit, and have no key any more."""
    found = set[str]()
    for owners in map(read_owners, find_base(root, commit)):
        found.update(owners.subject_ids[owners.is_erased & owners.is_among(list(sample_ids))].tolist())
    return frozenset(found)


def require_locks(root: Path, commits: Mapping[int, str]) -> Locks:
    """Returns the outputs of all waves, whose copies are to be looked for.

    Raises:
        InputError: a commit is not at hand: where nothing is looked at nothing is found.
    """
    locks = read_locks(root, commits)
    if unknown := [number for number, lock in locks.items() if not lock]:
        raise InputError(
            f"the commit of wave {unknown[0]} is not in {root}, and copies of its samples cannot be looked for; "
            f"{tell_how_to_fetch(root)} brings it"
        )
    return locks


def find_files(
    root: Path,
    subject_id: str,
    keyed_ids: Sequence[str],
    locks: Locks,
    holding: Holding,
    holdings_wave: int | None,
) -> list[StoreFile]:
    """Returns each content of a file that waves' commits name, with what it holds of the subject.

    Args:
        root: of the workspace.
        subject_id: the person.
        keyed_ids: by which sealed files know the person.
        locks: of the waves.
        holding: what the ledger knows of the person.
        holdings_wave: of the base that it knows this from.
    """
    contents = gather(locks, CONTENT)
    cached = find_cached(root, {md5 for _, md5 in contents})
    files = []
    for (path, md5), waves in contents.items():
        if md5 in cached:
            share = read_share(cached[md5], subject_id, keyed_ids)
            files.append(StoreFile(path, md5, waves, share.num_samples, "file", share.is_erased))
        elif holdings_wave in waves and path not in OF_A_WAVE:
            files.append(StoreFile(path, md5, waves, _count_held(path, holding), "ledger"))
        else:
            files.append(StoreFile(path, md5, waves, None, "nothing"))
    return files


def find_in_clear(root: Path, locks: Locks) -> dict[str, Path]:
    """Returns the contents of files which hold samples in clear, where the cache has them; by what names them."""
    contents = gather(locks, CONTENT)
    cached = find_cached(root, {md5 for _, md5 in contents})
    return {
        f"{path} of wave {waves[0]}, in the DVC cache as {md5}": cached[md5]
        for (path, md5), waves in contents.items()
        if md5 in cached and not is_sealed(cached[md5])
    }


def find_weights_in_clear(root: Path, locks: Locks) -> list[int]:
    """Returns the waves that name models' weights which lie in clear, as far as the cache has them."""
    contents = gather(locks, WEIGHTS)
    cached = find_cached(root, {md5 for _, md5 in contents})
    in_clear = {md5 for md5, path in cached.items() if is_in_clear(path)}
    return sorted({wave for (_, md5), waves in contents.items() if md5 in in_clear for wave in waves})


def gather(locks: Locks, paths: Sequence[Path]) -> dict[tuple[str, str], tuple[int, ...]]:
    """Returns each content of these files, with the waves whose commits name it."""
    contents: dict[tuple[str, str], tuple[int, ...]] = {}
    for wave, lock in locks.items():
        for path in map(str, paths):
            if path in lock:
                contents[path, lock[path]] = (*contents.get((path, lock[path]), ()), wave)
    return contents


def list_contents(root: Path, locks: Locks, paths: Sequence[Path]) -> Iterator[tuple[Path, Path]]:
    """Yields each content of these files that DVC cache or work tree has: its name in the workspace, and a copy."""
    contents = gather(locks, paths)
    cached = find_cached(root, {md5 for _, md5 in contents})
    for name, md5 in contents:
        if md5 in cached:
            yield Path(name), cached[md5]
    for path in paths:
        if (present := compute_md5(root / path)) is not None and present not in cached:
            yield path, root / path


def count_in(files: Sequence[StoreFile], wave: int, paths: Sequence[Path], holding: Holding) -> int | None:
    """Returns how many samples of the person these files of a wave hold; None where that cannot be known."""
    named = [file for file in files if file.path in map(str, paths) and wave in file.waves]
    if any(file.known_from == "ledger" for file in named):
        return holding.num_train if paths == (TRAIN,) else holding.num_held_out
    counts = [file.num_samples for file in named if file.num_samples is not None]
    return sum(counts) if len(counts) == len(paths) else None


def _count_held(path: str, holding: Holding) -> int | None:
    """Returns what the ledger's holding says of a file; None where it does not tell calibration from test."""
    if path == str(TRAIN):
        return holding.num_train
    if path in (str(AUDIT_LOGITS), str(TARGET_LOGITS)):
        return holding.num_train + holding.num_held_out
    return None if holding.num_held_out else 0
