"""A folder that seals, and samples of some people."""

from pathlib import Path

import numpy as np
import pytest
import torch

from amun.store.samples import Samples
from amun.vault.kek import KekFile
from amun.vault.vault import Vault
from tests.amun.sealing import make_vault

COUNT = 24
PEOPLE = [f"person {number // 3}" for number in range(COUNT)]


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    """The vault of the current folder."""
    monkeypatch.chdir(tmp_path)
    return make_vault(Path())


def get_file(vault: Vault) -> KekFile:
    """Returns the file in which the key-encryption key of a vault lies."""
    assert isinstance(vault.kek, KekFile)
    return vault.kek


@pytest.fixture
def samples() -> Samples:
    """Images of eight people, three each."""
    ids = np.array([f"{number:032x}" for number in range(COUNT)])
    images = torch.randint(0, 256, (COUNT, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Samples(ids, np.array(PEOPLE), torch.arange(COUNT) % 5, images)
