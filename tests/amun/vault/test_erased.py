"""Whose key is destroyed: of them nothing opens, and everybody else's samples do."""

from pathlib import Path

import numpy as np
import pytest
import torch

from amun.core.errors import AmunError
from amun.core.keys import subject_keys
from amun.core.subject_ids import normalise
from amun.store.samples import Samples, read_ids, read_in_groups, read_samples, write_samples
from amun.store.store import Share, read_owners, read_shape, read_share
from amun.store.twins import find_twins
from amun.vault.seal import Seal
from amun.vault.vault import Vault
from tests.amun.sealing import SECRET, destroy_keys
from tests.amun.vault.conftest import COUNT, PEOPLE
from tests.amun.vault.test_seal import assert_same

FILE = Path("data/train.parquet")
ERASED = "person 2"
GONE = [f"{number:032x}" for number in (6, 7, 8)]


def name_keys(person: str) -> list[str]:
    return subject_keys(bytes.fromhex(SECRET), person)


@pytest.fixture
def left(vault: Vault, samples: Samples) -> Samples:
    """Who is left in the file once one person's key is destroyed."""
    write_samples(FILE, samples, Seal(vault, "a context"))
    destroy_keys(Path(), [ERASED])
    return samples.select(samples.subject_ids != ERASED)


def test_nothing_of_an_erased_person_opens_and_everybody_else_does(left: Samples) -> None:
    for wanted in (None, GONE, GONE[:1]):
        with pytest.raises(AmunError, match=r"cannot be opened: the key store has no key of their subjects?"):
            read_samples(FILE, sample_ids=wanted)
    with pytest.raises(AmunError, match="cannot be opened"):
        list(read_in_groups(FILE))
    assert_same(read_samples(FILE, without=GONE), left)
    assert_same(next(read_in_groups(FILE, without=GONE)), left)
    assert_same(next(read_in_groups(FILE, skip_erased=True)), left)
    assert len(read_samples(FILE, ERASED)) == 0
    for person in set(PEOPLE) - {ERASED}:
        assert_same(read_samples(FILE, person), left.select(left.subject_ids == person))


def test_file_still_tells_what_names_nobody(left: Samples) -> None:
    assert read_shape(FILE).num_samples == len(read_ids(FILE)) == COUNT == len(left) + 3
    owners = read_owners(FILE)
    keyed = name_keys(ERASED)[0]
    assert owners.subject_ids.tolist() == [keyed if person == ERASED else person for person in PEOPLE]
    assert owners.sample_ids[owners.is_erased].tolist() == GONE
    assert read_share(FILE, ERASED, name_keys(ERASED)) == Share(3, is_erased=True)
    assert read_share(FILE, "person 3", name_keys("person 3")) == Share(3, is_erased=False)
    assert read_share(FILE, "nobody", name_keys("nobody")) == Share(0, is_erased=False)


def test_key_made_anew_opens_nothing_of_before(samples: Samples, vault: Vault) -> None:
    """As an earlier release made one, which had no suppression list."""
    write_samples(FILE, samples, Seal(vault, "a context"))
    left = samples.select(samples.subject_ids != ERASED)
    vault.store.remove_keys(name_keys(ERASED))
    vault.provide_keys([ERASED])
    with pytest.raises(AmunError, match="is not what was sealed"):
        read_samples(FILE)
    assert_same(read_samples(FILE, without=GONE), left)


def test_share_is_told_in_a_file_in_clear_and_by_any_spelling(samples: Samples, vault: Vault) -> None:
    names = np.array(["Zo\u00eb", "ann", "Zoe\u0308"])
    few = Samples(samples.sample_ids[:3], names, samples.labels[:3], samples.payloads[:3])
    for seal in (None, Seal(vault, "a context")):
        write_samples(FILE, few, seal)
        for spelling in (names[0], names[2]):
            assert read_share(FILE, spelling, name_keys(spelling)) == Share(2, is_erased=False)
    assert not read_owners(FILE).is_erased.any()
    destroy_keys(Path(), [names[0], names[2]])
    assert read_share(FILE, names[2], name_keys(normalise(names[2]))) == Share(2, is_erased=True)


def test_twins_are_found_among_those_who_are_left(samples: Samples, vault: Vault) -> None:
    same = Samples(
        samples.sample_ids, samples.subject_ids, samples.labels, samples.payloads[:1].expand_as(samples.payloads)
    )
    write_samples(FILE, same, Seal(vault, "a context"))
    destroy_keys(Path(), [ERASED])
    own = set(same.sample_ids[:3].tolist())
    with pytest.raises(AmunError, match="cannot be opened"):
        find_twins([FILE], own, set())
    for others in (find_twins([FILE], own, set(GONE))[1], find_twins([FILE], own, set(), skip_erased=True)[1]):
        assert {other.sample_id for other in others} == set(same.sample_ids.tolist()) - own - set(GONE)
    assert find_twins([FILE], set(GONE), set(), skip_erased=True) == ({}, [])
    assert torch.equal(read_samples(FILE, without=GONE).payloads[0], same.payloads[0])
