"""Erased weights are looked for by what was noted when they were sealed, once their keys are gone."""

import zipfile
from datetime import timedelta
from pathlib import Path

import pytest

from amun.vault.fingerprints import destroy_fingerprints
from amun.vault.rotation import rotate_kek
from amun.vault.sealed_weights import WeightsSeal, list_weights_keys
from amun.vault.vault import open_vault
from flows.pages.scan_table import print_scan
from tasks.workspace.erased_weights import LABEL, keep_erased_weights, list_plain, read_erased_weights
from tasks.workspace.scanning import scan
from tasks.workspace.workspace import Workspace
from tests.amun.ledger.helpers import NOW
from tests.amun.scan.planting import draw
from tests.amun.shipped import PARAMS
from tests.readme import fill_in, read_blocks
from tests.tasks.workspace.test_scanning import registry, workspace

__all__ = ["registry", "workspace"]

GONE, STAYS = (draw(5000, seed=seed).tobytes() for seed in (8, 9))


def test_weights_in_clear_are_found_after_their_key_is_destroyed_and_no_others(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vault, model = open_vault(workspace.root), PARAMS.model.name
    assert read_erased_weights(workspace) == []
    sealed = WeightsSeal(vault, model).seal(GONE)
    key_ids = set(list_weights_keys(vault, model))
    WeightsSeal(vault, model).seal(STAYS)
    # said again by a call that found the keys destroyed, it is kept all the same
    for _ in range(2):
        keep_erased_weights(workspace, vault, list_plain(vault, model, key_ids), NOW)
        vault.destroy_keys([], others=key_ids)
    rotate_kek(vault)
    files = read_erased_weights(workspace)
    assert [(file.label, file.size) for file in files] == [(LABEL, len(GONE))]
    (workspace.root / "sealed.safetensors").write_bytes(sealed)
    (workspace.root / "stays.safetensors").write_bytes(STAYS)
    found = scan(workspace, [], files=files)
    assert (found.is_clean, found.num_files) == (True, 1)
    (workspace.root / "left.safetensors").write_bytes(GONE)
    with zipfile.ZipFile(tmp_path / "tmp/sent.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("model.safetensors", GONE)
    found = scan(workspace, [], files=files)
    assert not found.is_clean
    assert {place.place: place.files for place in found.places if place.files} == {
        "work tree": {LABEL: 1},
        "temporary files": {LABEL: 1},
    }
    assert sorted(name for place in found.places for name in place.file_names) == [
        str(tmp_path / "tmp/sent.zip"),
        str(workspace.root / "left.safetensors"),
    ]
    print_scan(found)
    printed = capsys.readouterr().out.splitlines()
    (page,) = read_blocks("scan.md#erased-weights", "output")
    assert set(fill_in(page, {"/tmp/sent.zip": str(tmp_path / "tmp/sent.zip")}).splitlines()) <= {*printed}  # noqa: S108
    destroy_fingerprints(vault, NOW + timedelta(days=PARAMS.receipts.retention_days))
    assert read_erased_weights(workspace) == []


def test_where_nothing_was_ever_sealed_there_is_nothing_to_look_for(workspace: Workspace) -> None:
    (workspace.root / ".amun/keys.db").unlink()
    assert read_erased_weights(workspace) == []
