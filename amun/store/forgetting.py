"""Whom and what a wave forgets: the requesters' samples by their keyed ids."""

import numpy as np

from amun.core.counts import tell_count
from amun.core.errors import InputError
from amun.core.keys import subject_key
from amun.core.subject_ids import normalise
from amun.evidence.wave import ForgottenWave, read_forgotten
from amun.store.samples import Mask, Owners, Samples


def name_forgotten(
    secret: bytes, number: int, subjects: list[str], stores: list[Owners], forgotten: list[ForgottenWave]
) -> ForgottenWave:
    """Returns what wave `number` forgets.

    Args:
        secret: of the workspace.
        number: of the wave.
        subjects: the people who asked.
        stores: the train, calibration and test samples.
        forgotten: the earlier waves; what is gone already is not forgotten again.
    """
    gone = {sample_id for wave in forgotten for sample_id in [*wave.forget_ids, *wave.held_out_ids]}
    asked = {normalise(subject) for subject in subjects}
    owned = [sorted(set(store.sample_ids[_is_owned(store, asked)].tolist()) - gone) for store in stores]
    return ForgottenWave(
        number=number,
        subject_keys=sorted(subject_key(secret, subject) for subject in subjects),
        forget_ids=owned[0],
        held_out_ids=sorted(owned[1] + owned[2]),
    )


def _is_owned(store: Owners, asked: set[str]) -> Mask:
    """Returns (N,) bool: whose samples are to be forgotten, however the store spells their names."""
    people, positions = np.unique(store.subject_ids, return_inverse=True)
    is_asked = np.array([normalise(person) in asked for person in people.tolist()], dtype=np.bool_)
    return is_asked[positions]


def refuse_forgotten(samples: Samples) -> None:
    """Refuses to train on anybody whom an earlier wave has forgotten.

    Raises:
        InputError: at least one sample belongs to the forgotten.
    """
    forgotten = [sample_id for wave in read_forgotten() for sample_id in [*wave.forget_ids, *wave.held_out_ids]]
    if num_found := int(samples.is_among(forgotten).sum()):
        raise InputError(
            f"refused to train on {tell_count(num_found, 'sample')} of forgotten people; "
            "`amun base rebuild` trains a new base without them, and `dvc freeze` holds this stage"
        )
