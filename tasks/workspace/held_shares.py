"""What the files at hand hold of people who are about to be erased, counted for their receipts."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from amun.core.errors import AmunError
from amun.core.keys import is_keyed, load_secret, subject_keys
from amun.core.paths import ADVERSARIAL, CALIBRATION, HELD_OUT_ADVERSARIAL, TEST, TRAIN
from amun.core.subject_ids import normalise
from amun.evidence.receipt import HeldKind

if TYPE_CHECKING:
    from amun.vault.wrapping import SubjectKey
    from tasks.workspace.store_files import Locks

_KINDS: dict[Path, HeldKind] = {
    TRAIN: "training sample",
    CALIBRATION: "held-out sample",
    TEST: "held-out sample",
    ADVERSARIAL: "adversarial example",
    HELD_OUT_ADVERSARIAL: "adversarial example",
}  # what is not here are the answers of reference models


@dataclass
class Share:
    """What files have of one person and of one kind."""

    sample_ids: set[str] = field(default_factory=set)
    num_files: int = 0


Shares = dict[str, dict[HeldKind, Share]]  # by person


def count_shares(
    root: Path, people: set[str], locks: "Locks", keys: Mapping[str, Sequence["SubjectKey"]]
) -> tuple[Shares, int]:
    """Returns what the files at hand have of these people, and how many files could not be read.

    Whoever can no longer be opened stands in a sealed file by a keyed id.

    Args:
        root: of the workspace, whose work tree and DVC cache are looked into.
        people: their ids.
        locks: the outputs of all waves.
        keys: that each of these people has, by their composed ids.
    """
    from amun.store.store import read_owners
    from tasks.workspace.store_files import CONTENT, list_contents

    secret = load_secret(root)
    person_of = {name: normalise(person) for person in people for name in (person, *subject_keys(secret, person))}
    shares: Shares = defaultdict(lambda: defaultdict(Share))
    num_unread = 0
    for path, where in list_contents(root, locks, CONTENT):
        try:
            owners = read_owners(where)
        except AmunError:
            num_unread += 1  # a damaged file does not keep anybody from being erased
            continue
        found: Mapping[str, set[str]] = _group(owners.sample_ids.tolist(), owners.subject_ids.tolist(), person_of)
        for person, sample_ids in found.items():
            share = shares[person][_KINDS.get(path, "answer of reference models")]
            share.sample_ids |= sample_ids
            share.num_files += 1
    for person, kinds in shares.items():
        for share in kinds.values():
            share.sample_ids -= _find_former(share.sample_ids, keys.get(person, ()))
    return shares, num_unread


def _find_former(sample_ids: set[str], keys: Sequence["SubjectKey"]) -> set[str]:
    """Returns the ids, made by the secret alone, of samples that are there by an id of the person's key as well.

    A base that is sealed anew names the same sample otherwise than the one before.
    """
    from amun.store.naming import name_by_person

    return {one for one in sample_ids if is_keyed(one) for key in keys if name_by_person(key, one) in sample_ids}


def _group(sample_ids: Sequence[str], names: Sequence[str], person_of: Mapping[str, str]) -> dict[str, set[str]]:
    """Returns the ids of the samples of each of these people."""
    found: dict[str, set[str]] = defaultdict(set)
    for sample_id, name in zip(sample_ids, names, strict=True):
        if (person := person_of.get(name) or person_of.get(normalise(name))) is not None:
            found[person].add(sample_id)
    return found
