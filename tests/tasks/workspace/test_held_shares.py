"""What is held of a person is counted once, however many files have it, and by whatever ids."""

from pathlib import Path

import numpy as np
import pytest
import torch

from amun.core.keys import parse_secret, subject_key
from amun.core.paths import CALIBRATION, TEST
from amun.store.naming import name_by_person, name_by_secret
from amun.store.samples import Samples, write_samples
from amun.vault.seal import Seal
from amun.vault.vault import Vault
from tasks.workspace.held_shares import count_shares
from tests.amun.sealing import SECRET, make_vault

OWN_SECRET = parse_secret(SECRET, "")
PEOPLE = np.array(["ann", "ann", "Zoe\u0308", "Zoe\u0308", "Zoe\u0308"])
PIXELS = torch.arange(5 * 12, dtype=torch.uint8).reshape(5, 3, 2, 2)
SECRET_IDS = name_by_secret(OWN_SECRET, map(str, range(5)), PIXELS.numpy())


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    """The vault of the current folder."""
    monkeypatch.chdir(tmp_path)
    return make_vault(Path())


def write(path: Path, ids: list[str], rows: list[int], seal: Seal | None) -> None:
    labels = torch.zeros(len(rows), dtype=torch.int64)
    write_samples(path, Samples(np.array(ids)[rows], PEOPLE[rows], labels, PIXELS[rows]), seal)


def test_sample_that_two_bases_name_otherwise_is_counted_once(vault: Vault) -> None:
    keys = vault.provide_keys(set(PEOPLE.tolist()))
    ids = [name_by_person(keys[person], one) for person, one in zip(PEOPLE.tolist(), SECRET_IDS.tolist(), strict=True)]
    # the base of an earlier release in clear, and one that is sealed, which has some others
    write(CALIBRATION, SECRET_IDS.tolist(), [0, 1, 2, 3], None)
    write(TEST, ids, [0, 1, 2, 4], Seal(vault, "a context"))
    own = {person: [keys[spelling]] for person, spelling in (("ann", "ann"), ("Zo\u00eb", "Zoe\u0308"))}
    for given, counts in ((own, [2, 3]), (own | {"ann": []}, [4, 3]), ({}, [4, 4])):
        shares, num_unread = count_shares(Path(), {"ann", "Zo\u00eb"}, {}, given)
        found = [shares[person]["held-out sample"] for person in ("ann", "Zo\u00eb")]
        assert [len(share.sample_ids) for share in found] == counts
        assert ([share.num_files for share in found], num_unread) == ([2, 2], 0)
    # whose row is a name in clear, or a keyed id once the key is destroyed
    vault.destroy_keys(["ann"])
    assert subject_key(OWN_SECRET, "ann") not in vault.find_keys([subject_key(OWN_SECRET, "ann")])
    assert len(count_shares(Path(), {"ann"}, {}, {})[0]["ann"]["held-out sample"].sample_ids) == 4
