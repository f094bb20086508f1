"""Whom a wave forgets: all samples of the people who asked, however the store spells their names."""

from pathlib import Path

import numpy as np

from amun.core.keys import subject_key
from amun.evidence.wave import ForgottenWave
from amun.store.forgetting import add_canaries, name_forgotten, settle_twins
from amun.store.samples import Owners
from amun.store.twins import Twin

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


TRAIN, TEST = Path("train"), Path("test")
FORGETTING = ForgottenWave(number=2, subject_keys=["key"], forget_ids=["a", "b"], held_out_ids=["c"])
OWN = {b"1": ["a", "c"], b"2": ["b"]}
OTHERS = [Twin(TRAIN, "x", "xeno", b"1"), Twin(TEST, "y", "yves", b"2"), Twin(TRAIN, "gone", "zoe", b"2")]
EARLIER = [ForgottenWave(number=1, subject_keys=["zoe"], forget_ids=["gone"], held_out_ids=[])]


def test_twins_stay_and_what_they_stand_for_shows_nothing() -> None:
    settled = settle_twins(FORGETTING, OWN, OTHERS, EARLIER, forget_too=False, train=TRAIN)
    # c is held out, b's twins are held out or gone: neither stays trained on under another name
    assert settled == FORGETTING.model_copy(update={"shared_ids": ["a"]})


def test_twins_are_forgotten_too_but_not_twice() -> None:
    settled = settle_twins(FORGETTING, OWN, OTHERS, EARLIER, forget_too=True, train=TRAIN)
    assert (settled.forget_ids, settled.held_out_ids, settled.twin_ids) == (["a", "b", "x"], ["c", "y"], ["x", "y"])
    assert (settled.subject_keys, settled.shared_ids) == (["key"], []), "nobody but the requester is forgotten"


def test_nothing_is_settled_where_nobody_has_a_twin() -> None:
    for forget_too in (False, True):
        assert settle_twins(FORGETTING, OWN, [], EARLIER, forget_too=forget_too, train=TRAIN) == FORGETTING


def test_canaries_go_with_all_of_their_training_samples_and_have_not_asked() -> None:
    train = make_store(a="ann", b="bob", c="cem", d="bob")
    forgetting = name_forgotten(SECRET, 2, ["ann"], [train, make_store(e="ann"), make_store(f="dea")], [])
    taken = add_canaries(forgetting, SECRET, train, ["bob"])
    assert (taken.forget_ids, taken.canary_ids, taken.held_out_ids) == (["a", "b", "d"], ["b", "d"], ["e"])
    assert (taken.subject_keys, taken.canary_keys) == (forgetting.subject_keys, [subject_key(SECRET, "bob")])
