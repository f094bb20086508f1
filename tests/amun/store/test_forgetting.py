"""Whom a wave forgets: all samples of the people who asked, however the store spells their names."""

import numpy as np

from amun.core.keys import subject_key
from amun.evidence.wave import ForgottenWave
from amun.store.forgetting import name_forgotten
from amun.store.samples import Owners

SECRET = b"s" * 32
COMPOSED, DECOMPOSED = "Zo\u00eb", "Zoe\u0308"


def make_store(**owners: str) -> Owners:
    return Owners(np.array(list(owners)), np.array(list(owners.values())))


def test_samples_of_every_spelling_are_forgotten_once() -> None:
    train = make_store(a=COMPOSED, b="ann", c=DECOMPOSED, d="bob")
    stores = [train, make_store(e=DECOMPOSED), make_store(f="ann", g="bob")]
    earlier = ForgottenWave(number=1, subject_keys=[], forget_ids=["c"], held_out_ids=[])
    for asked in (COMPOSED, DECOMPOSED):
        forgotten = name_forgotten(SECRET, 2, [asked, "bob"], stores, [earlier])
        assert (forgotten.forget_ids, forgotten.held_out_ids) == (["a", "d"], ["e", "g"])
        assert len(forgotten.subject_keys) == 2
    assert subject_key(SECRET, "bob") in forgotten.subject_keys


def test_nobody_is_forgotten_where_nobody_asked() -> None:
    forgotten = name_forgotten(SECRET, 0, [], [make_store(a="ann")] * 3, [])
    assert forgotten == ForgottenWave(number=0, subject_keys=[], forget_ids=[], held_out_ids=[])
