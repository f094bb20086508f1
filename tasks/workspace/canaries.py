"""Who may be forgotten along with those who asked, so that the run can be judged: the pool of canaries.

Canaries are people of the training samples who are nobody's. The user names them in a file; or, where the source names
nobody and people are invented, the workspace's secret draws them. The pool is what is left of them: each is used once.
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from amun.core.keys import keyed_digest, load_secret, subject_key
from amun.core.paths import CALIBRATION, TEST, TRAIN
from amun.core.subject_ids import normalise
from amun.evidence.figures import PrepareFigures, read_figures
from amun.evidence.wave import ForgottenWave, list_gone
from amun.store.canary_list import read_canaries, refuse_drawn
from amun.store.samples import StoredOwners
from amun.store.store import read_owners
from amun.store.twins import find_twins
from tasks.workspace.line import read_line
from tasks.workspace.store_files import explain_missing
from tasks.workspace.twins import STORES, may_have_twins
from tasks.workspace.workspace import Workspace, open_ledger


@dataclass(frozen=True)
class Pool:
    """The canaries of a workspace.

    Attributes:
        num_named: people who are named, or drawn.
        num_held: those of them of whom the base was trained on something.
        num_asked: how many of these have asked, which canaries do not.
        left: the training samples of each who may still be taken, as the data spell them. They may share a picture with
            others: `drop_sharing` looks.
    """

    num_named: int
    num_held: int
    num_asked: int
    left: dict[str, list[str]]

    @property
    def num_left(self) -> int:
        """How many these are."""
        return len(self.left)


def find_pool(workspace: Workspace, tonight: ForgottenWave | None = None) -> Pool | None:
    """Returns the canaries as they are now, by ids alone; None where none are taken, or the data are not at hand.

    Nobody is left who has asked, whatever for: a request comes first. Nor is whom a wave has forgotten already, or who
    has held-out samples as well.

    Args:
        workspace: of which they are.
        tonight: what the wave forgets that takes some of them; None where there is none.

    Raises:
        InputError: they cannot be read or drawn.
    """
    root, canaries = workspace.root, workspace.params.data.canaries
    if canaries is None or not workspace.params.audit.canaries or explain_missing(root, STORES):
        return None
    train, *held_out = (read_owners(root / path) for path in (TRAIN, CALIBRATION, TEST))
    people = _list_people(train)
    named = read_canaries(root / canaries) if isinstance(canaries, str) else _draw(root, train, canaries)
    held = {person: ids for person, ids in people.items() if normalise(person) in named}
    with open_ledger() as ledger:
        have_asked = ledger.subjects_asked()
    asked = {person for person in held if normalise(person) in have_asked}
    gone = _list_gone(workspace, tonight)
    on_both_sides = {person for half in held_out for person in half.subject_ids.tolist()}
    left = {
        person: ids
        for person, ids in held.items()
        if gone.isdisjoint(ids) and person not in asked and person not in on_both_sides
    }
    return Pool(len(named), len(held), len(asked), left)


def drop_sharing(workspace: Workspace, pool: Pool, tonight: ForgottenWave) -> list[str]:
    """Returns who is left that has no picture which others have, too: it would go on being known. Opens all pictures.

    Args:
        workspace: of which they are.
        pool: its canaries.
        tonight: what the wave forgets that takes some of them.
    """
    gone = _list_gone(workspace, tonight)
    return sorted(pool.left.keys() - _find_sharing(workspace.root, pool.left, gone))


def _list_gone(workspace: Workspace, tonight: ForgottenWave | None) -> set[str]:
    return {*list_gone(read_line(workspace)), *(() if tonight is None else list_gone([tonight]))}


def _list_people(train: StoredOwners) -> dict[str, list[str]]:
    """Returns the training samples of each person who can be read."""
    people: dict[str, list[str]] = defaultdict(list)
    is_held = ~train.is_erased
    for person, sample_id in zip(train.subject_ids[is_held].tolist(), train.sample_ids[is_held].tolist(), strict=True):
        people[person].append(sample_id)
    return people


def _draw(root: Path, train: StoredOwners, number: int) -> set[str]:
    """Returns so many of the invented people, composed, by the secret: the same as long as the base is the same.

    Whoever is erased keeps their place, by the keyed id that the store has of them.
    """
    refuse_drawn(number, names_people=read_figures(PrepareFigures, root).people_digest is None)
    secret, erased = load_secret(root), set(train.subject_ids[train.is_erased].tolist())
    people = set(train.subject_ids.tolist())
    keys = {person if person in erased else subject_key(secret, person): person for person in people}
    order = sorted(keys, key=lambda key: keyed_digest(secret, "canary", key.encode()))
    return {normalise(keys[key]) for key in order[:number]}


def _find_sharing(root: Path, people: dict[str, list[str]], gone: set[str]) -> set[str]:
    """Returns who of these people has a picture that somebody else has, too."""
    if not people or not may_have_twins(root):
        return set()
    owner = {sample_id: person for person, ids in people.items() for sample_id in ids}
    own, others = find_twins([root / path for path in STORES], set(owner), gone, skip_erased=True)
    elsewhere = {twin.picture for twin in others}
    return {
        owner[sample_id]
        for picture, ids in own.items()
        for sample_id in ids
        if picture in elsewhere or len({owner[one] for one in ids}) > 1
    }
