"""What of a workspace belongs on the suppression list: the pictures of those who are about to be erased."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from amun.core.subject_ids import normalise
from amun.evidence.wave import list_gone, read_forgotten
from amun.store.store import read_owners
from amun.store.twins import find_pictures, find_twins
from tasks.tools.contents import find_cached
from tasks.workspace import store_files
from tasks.workspace.store_files import Locks
from tasks.workspace.twins import STORES, may_have_had_twins, may_have_twins
from tasks.workspace.workspace import Workspace


def find_own_pictures(
    workspace: Workspace, people: Collection[str], commits: Mapping[int, str], locks: Locks
) -> set[bytes]:
    """Returns the digests of the pictures of these people, in each base that is at hand, as long as they can be opened.

    Those that somebody has who is not forgotten are that person's, too, and left out (`data.twins: keep`).

    Args:
        workspace: whose work tree and DVC cache are looked into.
        people: their ids, composed (NFC).
        commits: of the waves.
        locks: the outputs of the same waves.

    Raises:
        AmunError: a file is damaged.
    """
    root = workspace.root
    gone = set(list_gone(read_forgotten(root)))
    found = _find_pictures([root / path for path in STORES], people, gone, has_twins=may_have_twins(root))
    # the data stay the same through all waves of a base; the work tree has those of the last one
    bases = {_list_contents(lock): commits[number] for number, lock in locks.items()}
    bases.pop(_list_contents(store_files.read_lock(root, "HEAD")), None)
    for contents, commit in bases.items():
        paths = list(find_cached(root, contents).values())
        found |= _find_pictures(paths, people, gone, has_twins=may_have_had_twins(root, commit))
    return found


def _list_contents(lock: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the MD5s of a base's samples."""
    return tuple(lock[path] for path in map(str, STORES) if path in lock)


def _find_pictures(paths: Sequence[Path], people: Collection[str], gone: set[str], *, has_twins: bool) -> set[bytes]:
    own_ids = {
        sample_id
        for owners in map(read_owners, paths)
        for sample_id, name in zip(owners.sample_ids.tolist(), owners.subject_ids.tolist(), strict=True)
        if normalise(name) in people
    }
    if not has_twins:
        return set(find_pictures(paths, own_ids, skip_erased=True))
    own, others = find_twins(paths, own_ids, gone - own_ids, skip_erased=True)
    return set(own) - {twin.picture for twin in others}
