"""Weights on disk: they come back to the last bit, in clear or sealed, and nobody reads them without their key."""

from pathlib import Path

import pytest
from safetensors.torch import load_file
from torch import nn

from amun.core.errors import AmunError, AttemptError, InputError
from amun.core.params import ModelParams
from amun.core.paths import TARGET_WEIGHTS
from amun.model.architectures import build_model
from amun.model.target_weights import count_references, open_references, save_references
from amun.model.weights import load_weights, read_weights, save_weights
from amun.vault import sealed_weights
from amun.vault.named_keys import keep_key, name_key
from amun.vault.rotation import rotate_kek
from amun.vault.sealed_weights import ErasedWeightsError, PlainFile, WeightsSeal, list_weights_keys
from amun.vault.vault import WEIGHTS, Vault, open_vault
from tasks.tools.digests import compute_md5
from tests.amun.sealing import make_vault
from tests.amun.shipped import PARAMS, copy_weights, have_same_weights

SMALL, OTHER = (ModelParams(name="m", architecture="small_cnn", options={"channels": [width]}) for width in (4, 8))
PLACE = Path("wave/unlearned.safetensors")


def build(seed: int = 0) -> nn.Module:
    return build_model(PARAMS.model, 10, (1, 8, 8), seed)


@pytest.fixture(autouse=True)
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    """The vault of the current folder, which is empty else."""
    monkeypatch.chdir(tmp_path)
    return make_vault(Path())


def seal(model: str = "ours") -> WeightsSeal:
    return WeightsSeal(open_vault(), model)


def destroy(*key_ids: str) -> None:
    open_vault().destroy_keys([], others=key_ids)


def test_weights_come_back_to_the_last_bit(tmp_path: Path) -> None:
    saved, loaded = build(1), build(2)
    save_weights(tmp_path / "new" / "model.safetensors", saved)
    load_weights(tmp_path / "new" / "model.safetensors", loaded)
    assert have_same_weights(copy_weights(saved), copy_weights(loaded))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["model.safetensors"]


def test_weights_that_are_read_share_no_memory_with_others(tmp_path: Path) -> None:
    """`torch.export` and its pt2 files, as MLflow serves them, write all of the memory that a tensor is a view of."""
    save_weights(tmp_path / "model.safetensors", build(1))
    loaded = build(2)
    load_weights(tmp_path / "model.safetensors", loaded)
    for name, tensor in loaded.state_dict().items():
        assert tensor.untyped_storage().nbytes() == tensor.nbytes, name


def test_the_same_weights_are_the_same_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_weights(tmp_path / name, build())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_unusable_weights_are_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    model = build_model(SMALL, 10, (1, 8, 8), 0)
    with pytest.raises(InputError, match="not found"):
        load_weights(path, model)
    path.write_bytes(b"no weights at all")
    with pytest.raises(InputError, match="no readable safetensors file"):
        load_weights(path, model)
    save_weights(path, build_model(OTHER, 10, (1, 8, 8), 0))
    before = copy_weights(model)
    with pytest.raises(InputError, match=r"another architecture \(3 tensors not alike, first 1\.0\.bias\)"):
        load_weights(path, model)
    assert have_same_weights(before, copy_weights(model))


@pytest.mark.parametrize("chunk_bytes", [64 << 20, 1000])
def test_sealed_weights_come_back_and_nobody_else_reads_them(chunk_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed_weights, "CHUNK_BYTES", chunk_bytes)
    model, loaded = build(1), build(2)
    save_weights(PLACE, model, seal())
    load_weights(PLACE, loaded)
    assert have_same_weights(copy_weights(model), copy_weights(loaded))
    plain = Path("plain")
    save_weights(plain, model)
    written, clear = PLACE.read_bytes(), plain.read_bytes()
    # no run of the numbers stands in the file
    assert not any(clear[start : start + 16] in written for start in range(2000, len(clear) - 16, 997))
    assert set(load_file(PLACE)) == {"sealed"}


def test_the_same_weights_are_sealed_into_the_same_bytes_and_others_under_a_key_of_their_own() -> None:
    for name in ("a", "b"):
        save_weights(Path(name), build(1), seal())
    save_weights(Path("other"), build(2), seal())
    assert Path("a").read_bytes() == Path("b").read_bytes()
    notes = list_weights_keys(open_vault(), "ours")
    assert {note.md5 for note in notes.values()} == {compute_md5(Path("a")), compute_md5(Path("other"))}
    assert list_weights_keys(open_vault(), "theirs") == {}
    # another model of the same weights keeps them, whatever becomes of ours
    save_weights(Path("theirs"), build(1), seal("theirs"))
    destroy(*list_weights_keys(open_vault(), "ours"))
    assert have_same_weights(read_weights(Path("theirs")), copy_weights(build(1)))
    shown = open_vault().describe()
    assert (shown.num_keys, shown.num_weights) == (0, 1)


def test_note_has_by_what_the_file_in_clear_is_known_again(vault: Vault) -> None:
    save_weights(Path("sealed"), build(1), seal())
    save_weights(Path("clear"), build(1))
    (note,) = list_weights_keys(vault, "ours").values()
    assert note.plain == PlainFile(size=Path("clear").stat().st_size, md5=str(compute_md5(Path("clear"))))
    # a key that was made before there was such a note
    before = note.model_dump_json(exclude={"plain"})
    keep_key(vault, name_key(vault, WEIGHTS, b"before"), bytes(32), before)
    assert [one.plain for one in list_weights_keys(vault, "ours").values()].count(None) == 1


def test_once_their_key_is_destroyed_nobody_reads_them_and_all_others_stay(vault: Vault) -> None:
    vault.provide_keys(["ann"])
    save_weights(Path("gone"), build(1), seal())
    (key_id,) = list_weights_keys(open_vault(), "ours")
    save_weights(Path("kept"), build(2), seal())
    destroy(key_id)
    rotate_kek(vault)
    with pytest.raises(ErasedWeightsError, match=r"^gone: nobody can read these weights any more"):
        read_weights(Path("gone"))
    assert have_same_weights(read_weights(Path("kept")), copy_weights(build(2)))
    with pytest.raises(InputError, match=r"the very same weights are erased, .*: nobody makes them anew$"):
        save_weights(Path("again"), build(1), seal())
    assert not Path("again").exists()
    assert set(open_vault().find_names(["ann"]).values()) == {"ann"}


@pytest.mark.parametrize("change", ["flip", "cut", "swap"])
def test_what_was_not_sealed_so_is_refused(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed_weights, "CHUNK_BYTES", 1000)
    save_weights(PLACE, build(1), seal())
    written = bytearray(PLACE.read_bytes())
    start = len(written) - 3 * 1016
    match change:
        case "flip":
            written[start] ^= 1
        case "swap":
            written[start : start + 1016], written[start + 1016 : start + 2032] = (
                written[start + 1016 : start + 2032],
                written[start : start + 1016],
            )
        case "cut":
            save_weights(Path("other"), build(2), seal())
            written[-2000:] = Path("other").read_bytes()[-2000:]
    PLACE.write_bytes(written)
    with pytest.raises(AmunError, match="not what was sealed; bring the file back"):
        read_weights(PLACE)


def test_references_whose_key_is_destroyed_count_for_none() -> None:
    save_references([copy_weights(build(seed)) for seed in range(2)], seal())
    assert count_references(TARGET_WEIGHTS) == 2
    assert have_same_weights(copy_weights(open_references(build, 2)(1)), copy_weights(build(1)))
    destroy(*list_weights_keys(open_vault(), "ours"))
    assert count_references(TARGET_WEIGHTS) == 0
    with pytest.raises(AttemptError, match=r"are erased, .*; `amun base rebuild`"):
        open_references(build, 2)


def test_where_no_reference_is_kept_there_is_nothing_to_seal() -> None:
    save_references([], seal())
    assert load_file(TARGET_WEIGHTS) == {}
    assert list_weights_keys(open_vault(), "ours") == {}
