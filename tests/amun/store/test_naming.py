"""Samples' ids: the same from the same keys, and no more to be made once a person's key is gone."""

from pathlib import Path

import numpy as np
import pytest

from amun.core.keys import parse_secret, subject_key
from amun.store.naming import SampleNamer, name_by_person, name_by_secret, open_namer
from amun.vault.rotation import rotate_kek
from amun.vault.vault import Vault, open_vault
from amun.vault.wrapping import wrap_key
from tests.amun.sealing import SECRET
from tests.amun.vault.conftest import vault

__all__ = ["vault"]

OWN_SECRET = parse_secret(SECRET, "")
KEYS = ["cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png"]
PIXELS = np.arange(4 * 12, dtype=np.uint8).reshape(4, 3, 2, 2)
PEOPLE = np.array(["ann", "ann", "bob", "cem"])
SECRET_IDS = name_by_secret(OWN_SECRET, KEYS, PIXELS)


@pytest.mark.usefixtures("vault")
def test_id_is_of_key_name_and_picture() -> None:
    ids = open_namer(OWN_SECRET, is_sealed=True).name(SECRET_IDS, PEOPLE)
    others = [
        name_by_secret(OWN_SECRET, ["cat/9.png", *KEYS[1:]], PIXELS),
        name_by_secret(OWN_SECRET, KEYS, PIXELS[::-1]),
        name_by_secret(bytes(32), KEYS, PIXELS),
    ]
    made = [open_namer(OWN_SECRET, is_sealed=True).name(other, PEOPLE)[0] for other in others]
    moved = open_namer(OWN_SECRET, is_sealed=True).name(SECRET_IDS, PEOPLE[::-1])[0]
    assert len({*ids.tolist(), *SECRET_IDS.tolist(), *made, moved}) == 4 + 4 + 3 + 1
    assert all(len(one) == 32 and int(one, 16) for one in ids.tolist())


def test_same_keys_give_the_same_ids_after_a_rotation_and_in_another_clone(vault: Vault, tmp_path: Path) -> None:
    ids = open_namer(OWN_SECRET, is_sealed=True).name(SECRET_IDS, PEOPLE)
    rotate_kek(vault)
    assert np.array_equal(open_namer(OWN_SECRET, is_sealed=True).name(SECRET_IDS, PEOPLE), ids)
    clone = tmp_path / "clone"
    (clone / ".amun").mkdir(parents=True)
    (clone / ".amun/secret").write_text(SECRET, encoding="ascii")
    shared = SampleNamer(OWN_SECRET, Vault(vault.store, vault.kek, clone), "person")
    assert np.array_equal(shared.name(SECRET_IDS, PEOPLE), ids)


def test_in_clear_the_secret_names_them_and_no_key_is_made(vault: Vault) -> None:
    namer = open_namer(OWN_SECRET, is_sealed=False)
    assert namer.name(SECRET_IDS, PEOPLE) is SECRET_IDS
    assert vault.store.count_keys() == 0


def test_samples_are_known_by_either_id_and_no_key_is_made(vault: Vault) -> None:
    sealing = open_namer(OWN_SECRET, is_sealed=True)
    ids = sealing.name(SECRET_IDS[:3], PEOPLE[:3])
    known = frozenset([ids[1], SECRET_IDS[2], "somebody"])
    for namer in (sealing, *(open_namer(OWN_SECRET, is_sealed=is_sealed) for is_sealed in (True, False))):
        assert namer.find_among(known, SECRET_IDS, PEOPLE).tolist() == [False, True, True, False]
        assert not namer.find_among(frozenset(), SECRET_IDS, PEOPLE).any()
    without = SampleNamer(OWN_SECRET, None, "secret")
    assert without.find_among(known, SECRET_IDS, PEOPLE).tolist() == [False, False, True, False]
    assert vault.store.count_keys() == 2


def test_nothing_that_is_left_makes_the_ids_of_whoever_is_erased(vault: Vault) -> None:
    ids = set(open_namer(OWN_SECRET, is_sealed=True).name(SECRET_IDS, PEOPLE).tolist())

    def make_all() -> set[str]:
        """Returns every id that secret and keys make of the originals, whosever they are."""
        keys = open_vault().find_keys(subject_key(OWN_SECRET, person) for person in PEOPLE.tolist())
        return {name_by_person(key, one) for key in keys.values() for one in SECRET_IDS.tolist()} | {*SECRET_IDS}

    assert ids <= make_all()
    own = set(open_namer(OWN_SECRET, is_sealed=True).name(SECRET_IDS[:2], PEOPLE[:2]).tolist())
    vault.destroy_keys(["ann"])
    rotate_kek(vault)
    assert ids & make_all() == ids - own
    # nor does a key that is drawn anew for the same person
    vault.store.add_keys(
        [subject_key(OWN_SECRET, "ann")],
        lambda kek, subject: wrap_key(vault.kek.find(kek), subject, bytes(32) + b"ann"),
    )
    assert ids & make_all() == ids - own
