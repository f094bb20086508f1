"""What stops a wave before anything is frozen."""

from pathlib import Path

import numpy as np
import pytest
import torch

from amun.core.errors import InputError
from amun.core.paths import CALIBRATION, TEST, TRAIN
from amun.evidence.wave import ForgottenWave
from amun.store.samples import Samples, StoredOwners, write_samples
from amun.store.store import read_owners
from amun.vault.seal import open_seal
from tasks.workspace.preview import require_keys_of_all
from tests.amun.sealing import destroy_keys, make_vault

STORES = (TRAIN, CALIBRATION, TEST)


def read_stores() -> list[StoredOwners]:
    return [read_owners(path) for path in STORES]


def test_key_store_without_somebody_who_is_held_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_vault(tmp_path)
    for number, path in enumerate(STORES):
        ids = np.array([f"{number}a", f"{number}b"])
        samples = Samples(ids, np.array(["ann", f"bob {number}"]), torch.zeros(2, dtype=torch.int64), torch.rand(2, 1))
        write_samples(path, samples, open_seal(True, "test"))
    require_keys_of_all(read_stores(), [])
    destroy_keys(tmp_path, ["bob 0", "bob 1"])
    gone = ForgottenWave(number=1, subject_keys=[], forget_ids=["0b"], held_out_ids=["1b"])
    require_keys_of_all(read_stores(), [gone])
    with pytest.raises(InputError, match="no keys for 2 samples of people whom no wave has forgotten"):
        require_keys_of_all(read_stores(), [])
    destroy_keys(tmp_path, ["ann"])
    with pytest.raises(InputError, match="no keys for 3 samples"):
        require_keys_of_all(read_stores(), [gone])
