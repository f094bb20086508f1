"""Whom and what a wave forgets: the requesters' samples by their keyed ids, and what becomes of their twins."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from amun.core.counts import tell_count
from amun.core.errors import InputError
from amun.core.keys import load_secret, subject_key, subject_keys
from amun.core.subject_ids import normalise
from amun.evidence.wave import ForgottenWave, list_gone, read_forgotten
from amun.store.rows import Mask
from amun.store.samples import Owners, StoredOwners
from amun.store.twins import Twin


def name_forgotten(
    secret: bytes, number: int, subjects: list[str], stores: Sequence[Owners], forgotten: list[ForgottenWave]
) -> ForgottenWave:
    """Returns what wave `number` forgets.

    Args:
        secret: of the workspace.
        number: of the wave.
        subjects: the people who asked.
        stores: the train, calibration and test samples.
        forgotten: the earlier waves; what is gone already is not forgotten again.
    """
    gone = set(list_gone(forgotten))
    asked = {normalise(subject) for subject in subjects}
    owned = [sorted(set(store.sample_ids[_is_owned(store, asked)].tolist()) - gone) for store in stores]
    return ForgottenWave(
        number=number,
        subject_keys=sorted(subject_key(secret, subject) for subject in subjects),
        forget_ids=owned[0],
        held_out_ids=sorted(owned[1] + owned[2]),
    )


def add_canaries(forgetting: ForgottenWave, secret: bytes, train: Owners, people: Sequence[str]) -> ForgottenWave:
    """Returns what a wave forgets that takes these canaries along, with all of their training samples.

    Args:
        forgetting: without them.
        secret: of the workspace.
        train: the training samples.
        people: as `train` spells them.
    """
    canary_ids: list[str] = sorted(train.sample_ids[np.isin(train.subject_ids, list(people))].tolist())
    return forgetting.model_copy(
        update={
            "forget_ids": sorted([*forgetting.forget_ids, *canary_ids]),
            "canary_keys": sorted(subject_key(secret, person) for person in people),
            "canary_ids": canary_ids,
        }
    )


def settle_twins(
    forgetting: ForgottenWave,
    own: dict[bytes, list[str]],
    others: Sequence[Twin],
    forgotten: list[ForgottenWave],
    *,
    forget_too: bool,
    train: Path,
) -> ForgottenWave:
    """Returns what a wave forgets once it is settled what becomes of other people's twins.

    Args:
        forgetting: as `name_forgotten` gives it.
        own: its samples by their pictures.
        others: the twins of these; those that are forgotten already are ignored.
        forgotten: the earlier waves.
        forget_too: `data.twins`.
        train: the store file of the training samples.
    """
    gone = set(list_gone(forgotten))
    held = [twin for twin in others if twin.sample_id not in gone]
    trained = [twin for twin in held if twin.path == train]
    if not forget_too:
        pictures = {twin.picture for twin in trained}
        own_ids = {sample_id for picture in pictures for sample_id in own[picture]}
        return forgetting.model_copy(update={"shared_ids": sorted(own_ids.intersection(forgetting.forget_ids))})
    trained_ids = {twin.sample_id for twin in trained}
    ids = {twin.sample_id for twin in held}
    return forgetting.model_copy(
        update={
            "forget_ids": sorted([*forgetting.forget_ids, *trained_ids]),
            "held_out_ids": sorted([*forgetting.held_out_ids, *(ids - trained_ids)]),
            "twin_ids": sorted(ids),
        }
    )


def _is_owned(store: Owners, asked: set[str]) -> Mask:
    """Returns (N,) bool: whose samples are to be forgotten, however the store spells their names."""
    people, positions = np.unique(store.subject_ids, return_inverse=True)
    is_asked = np.array([normalise(person) in asked for person in people.tolist()], dtype=np.bool_)
    return is_asked[positions]


def find_lost(stores: Sequence[StoredOwners], forgotten: list[ForgottenWave]) -> set[str]:
    """Returns the ids of samples in a store's files that nobody can open, though no wave has forgotten them."""
    erased = (store.sample_ids[store.is_erased].tolist() for store in stores)
    return set(chain.from_iterable(erased)).difference(list_gone(forgotten))


def refuse_forgotten(samples: Owners) -> None:
    """Refuses to train on anybody whom an earlier wave has forgotten.

    They are known by their samples' ids, and by their own: this base may name samples otherwise than theirs did.

    Raises:
        InputError: at least one sample belongs to the forgotten.
    """
    line = read_forgotten()
    is_gone = samples.is_among(list_gone(line))
    if line:
        is_gone |= _is_anybody(samples, {key for wave in line for key in wave.people_keys})
    if num_found := int(is_gone.sum()):
        raise InputError(
            f"refused to train on {tell_count(num_found, 'sample')} of forgotten people; "
            "`amun base rebuild` trains a new base without them, and `dvc freeze` holds this stage"
        )


def _is_anybody(store: Owners, keys: set[str]) -> Mask:
    """Returns (N,) bool: whose samples are somebody's of these keyed ids."""
    secret = load_secret(Path())
    people, positions = np.unique(store.subject_ids, return_inverse=True)
    found = [not keys.isdisjoint([person, *subject_keys(secret, person)]) for person in people.tolist()]
    is_found: Mask = np.array(found, dtype=np.bool_)[positions]
    return is_found
