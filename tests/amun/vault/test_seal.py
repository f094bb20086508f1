"""What is sealed opens to what it was, in its place alone, and shows nothing of anybody."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from amun.core.errors import AmunError, InputError
from amun.core.keys import subject_key
from amun.core.paths import KEK, KEYS, SECRET
from amun.store import samples as store
from amun.store.samples import Samples, SampleWriter, count_samples, read_ids, read_in_groups, read_samples
from amun.store.store import StoreShape, read_owners, read_shape
from amun.vault.seal import Seal, derive_nonce, open_seal
from amun.vault.vault import Vault, create_vault
from tests.amun.sealing import SECRET as SECRET_TEXT
from tests.amun.vault.conftest import COUNT, PEOPLE

FILE = Path("data/train.parquet")


@pytest.fixture(autouse=True)
def written(vault: Vault, samples: Samples) -> None:
    """The samples, sealed, in the current folder."""
    write(samples, Seal(vault, "a context"))


def write(samples: Samples, seal: Seal | None, path: Path = FILE) -> bytes:
    store.write_samples(path, samples, seal)
    return path.read_bytes()


def assert_same(found: Samples, expected: Samples) -> None:
    assert found.sample_ids.tolist() == expected.sample_ids.tolist()
    assert found.subject_ids.tolist() == expected.subject_ids.tolist()
    assert torch.equal(found.labels, expected.labels)
    assert found.payloads.dtype == expected.payloads.dtype
    assert torch.equal(found.payloads, expected.payloads)


def change_table(change: Callable[[pa.Table], pa.Table]) -> None:
    """Writes the file anew, with a changed table under the footer that it had."""
    told = pq.read_metadata(FILE).metadata
    table = change(pq.read_table(FILE))
    with pq.ParquetWriter(FILE, table.schema, use_dictionary=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({key: told[key] for key in (b"num_classes", b"signature")})


def set_rows(table: pa.Table, column: str, values: list[object]) -> pa.Table:
    place = table.schema.get_field_index(column)
    return table.set_column(place, table.schema.field(place), pa.array(values, table.schema.field(place).type))


def test_what_was_sealed_opens_to_what_it_was(samples: Samples) -> None:
    assert_same(read_samples(FILE), samples)
    assert_same(store.concatenate(list(read_in_groups(FILE))), samples)
    chosen = [f"{number:032x}" for number in (20, 3, 7)]
    assert_same(read_samples(FILE, sample_ids=chosen), samples.select(samples.is_among(chosen)))
    assert_same(read_samples(FILE, "person 2"), samples.slice(6, 9))
    assert read_ids(FILE) == samples.sample_ids.tolist()
    assert read_owners(FILE).subject_ids.tolist() == PEOPLE
    assert read_shape(FILE) == StoreShape(COUNT, 5, (3, 8, 8))
    assert count_samples(FILE) == COUNT


@pytest.mark.parametrize(
    "payloads", [torch.randn(COUNT, 4, 10), torch.rand(COUNT, 1) > 0.5, torch.ones(COUNT, 2).long()]
)
def test_payloads_of_every_kind_open(payloads: torch.Tensor, samples: Samples, vault: Vault) -> None:
    expected = replace(samples, payloads=payloads)
    write(expected, Seal(vault, "a context"))
    assert_same(read_samples(FILE), expected)
    none = expected.slice(0, 0)
    write(none, Seal(vault, "a context"))
    assert_same(read_samples(FILE), none)
    assert list(read_in_groups(FILE)) == []
    assert read_shape(FILE) == StoreShape(0, 0, tuple(payloads.shape[1:]))


def test_groups_open_one_by_one(samples: Samples, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = FILE.read_bytes()
    monkeypatch.setattr(store, "GROUP_BYTES", 5 * samples.payloads[:1].nbytes)
    in_groups = write(samples, Seal(vault, "a context"))
    assert [len(part) for part in read_in_groups(FILE)] == [5, 5, 5, 5, 4]
    assert_same(read_samples(FILE), samples)
    assert_same(read_samples(FILE, "person 3"), samples.slice(9, 12))
    writer = SampleWriter(FILE, Seal(vault, "a context"))
    for start in range(0, COUNT, 7):
        writer.append(samples.slice(start, start + 7))
    writer.finish()
    assert FILE.read_bytes() == in_groups != whole


def test_same_stage_gives_the_same_bytes_and_another_wave_or_kind_none_of_them(samples: Samples, vault: Vault) -> None:
    first, stored = FILE.read_bytes(), read_payloads(FILE)
    assert write(samples, Seal(vault, "a context")) == first
    other = FILE.with_name("test.parquet")
    for path, context in ((FILE, "another wave"), (other, "a context")):
        write(samples, Seal(vault, context), path)
        pairs = zip(stored, read_payloads(path), strict=True)
        assert not [one for one, another in pairs if one[:64] == another[:64]]


def read_payloads(path: Path) -> list[bytes]:
    payloads: list[bytes] = pq.read_table(path).column("payload").to_pylist()
    return payloads


def test_each_payload_has_a_nonce_of_its_own(vault: Vault) -> None:
    ann, bob = vault.provide_keys(["ann", "bob"]).values()
    nonces = {derive_nonce(key, bound) for key in (ann, bob) for bound in (b"one payload", b"another")}
    assert len(nonces) == 4
    assert {len(nonce) for nonce in nonces} == {12}


def test_two_people_with_the_same_picture_show_it_to_nobody(samples: Samples, vault: Vault) -> None:
    same = replace(samples, payloads=samples.payloads[:1].expand_as(samples.payloads))
    write(same, Seal(vault, "a context"))
    assert len({payload[:64] for payload in read_payloads(FILE)}) == COUNT


def test_file_shows_no_name_no_label_and_no_picture(samples: Samples) -> None:
    table = pq.read_table(FILE)
    assert table.column_names == ["sample_id", "subject_id", "payload"]
    secret = bytes.fromhex(SECRET_TEXT)
    assert table.column("subject_id").to_pylist() == [subject_key(secret, person) for person in PEOPLE]
    stored = b"".join(read_payloads(FILE))
    assert not [image for image in samples.payloads if image.numpy().tobytes()[:16] in stored]


CHANGES: dict[str, Callable[[pa.Table], pa.Table]] = {
    "payload of another sample of the same person": lambda table: set_rows(
        table, "payload", [*table.column("payload").to_pylist()[1::-1], *table.column("payload").to_pylist()[2:]]
    ),
    "payload of somebody else": lambda table: set_rows(
        table, "payload", [*table.column("payload").to_pylist()[3:], *table.column("payload").to_pylist()[:3]]
    ),
    "rows in another order": lambda table: table.take(pa.array(range(COUNT - 1, -1, -1))),
    "a row less": lambda table: table.slice(0, COUNT - 1),
    "a row twice": lambda table: table.take(pa.array([0, *range(COUNT - 1)])),
    "another sample's id": lambda table: set_rows(
        table, "sample_id", ["f" * 32, *table.column("sample_id").to_pylist()[1:]]
    ),
    "another person's id": lambda table: set_rows(
        table, "subject_id", [table.column("subject_id").to_pylist()[-1], *table.column("subject_id").to_pylist()[1:]]
    ),
    "another dtype": lambda table: change_schema(table, b"dtype", b"int8"),
    "another shape": lambda table: change_schema(table, b"shape", b"[3, 4, 16]"),
    "another context": lambda table: change_schema(table, b"context", b"0" * 32),
    "another kind": lambda table: change_schema(table, b"kind", b"test"),
    "no kind": lambda table: change_schema(table, b"kind", None),
    "no context": lambda table: change_schema(table, b"context", None),
}


def change_schema(table: pa.Table, key: bytes, value: bytes | None) -> pa.Table:
    metadata = {name: held for name, held in table.schema.metadata.items() if name != key}
    return table.replace_schema_metadata(metadata if value is None else metadata | {key: value})


@pytest.mark.parametrize("what", CHANGES)
def test_changed_file_is_an_error_in_one_line(what: str) -> None:
    change_table(CHANGES[what])
    with pytest.raises(AmunError, match=r"dvc checkout"):
        read_samples(FILE)


@pytest.mark.parametrize("what", ["num_classes", "signature"])
def test_changed_footer_is_an_error(what: str) -> None:
    told = pq.read_metadata(FILE).metadata
    table = pq.read_table(FILE)
    with pq.ParquetWriter(FILE, table.schema, use_dictionary=False) as writer:
        writer.write_table(table)
        changed = {key: told[key] for key in (b"num_classes", b"signature")} | {what.encode(): b"6"}
        writer.add_key_value_metadata(changed)
    for read in (read_shape, read_owners, read_ids, read_samples):
        with pytest.raises(AmunError, match="is not what was written"):
            read(FILE)


def test_unchanged_table_written_anew_is_read(samples: Samples) -> None:
    # else the two tests above would pass whatever was changed
    change_table(lambda table: table)
    assert_same(read_samples(FILE), samples)


def test_no_flipped_bit_gives_another_sample(samples: Samples) -> None:
    content = FILE.read_bytes()
    num_errors = 0
    for place in [*range(0, len(content), 97), *range(len(content) - 600, len(content), 7)]:
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        FILE.write_bytes(bytes(changed))
        try:
            found = read_samples(FILE)
        except AmunError:
            num_errors += 1
        else:
            # the flipped bit is in what nobody reads: padding, or what Parquet says twice
            assert_same(found, samples)
    assert num_errors > 100


def test_missing_key_and_wrong_key_are_errors_that_say_so(samples: Samples) -> None:
    Path(KEYS).rename("away.db")
    with pytest.raises(InputError, match="no key store at"):
        read_samples(FILE)
    Path("away.db").rename(KEYS)
    kek = Path(KEK).read_bytes()
    Path(KEK).unlink()
    with pytest.raises(InputError, match="no key-encryption key at"):
        read_samples(FILE)
    Path(KEYS).rename("away.db")
    with pytest.raises(InputError, match="no key store"):
        read_samples(FILE)
    create_vault()
    with pytest.raises(AmunError, match="another key store"):
        read_samples(FILE)
    Path(KEK).unlink()
    Path(KEK).write_bytes(kek)
    Path(KEK).chmod(0o400)
    with pytest.raises(InputError, match="lie under"):
        read_samples(FILE)
    Path("away.db").replace(KEYS)
    assert_same(read_samples(FILE), samples)


def test_reading_needs_no_secret_and_writing_does(samples: Samples) -> None:
    Path(SECRET).unlink()
    assert_same(read_samples(FILE), samples)
    with pytest.raises(InputError, match="amun init"):
        write(samples, open_seal(True, "a context"))


def test_seal_is_none_where_payloads_lie_in_clear(samples: Samples) -> None:
    assert open_seal(False, "a context") is None
    write(samples, None)
    assert_same(read_samples(FILE), samples)
    assert pq.read_table(FILE).column("subject_id").to_pylist() == PEOPLE


def test_contexts_are_as_different_as_their_parts() -> None:
    contexts = [open_seal(True, *parts) for parts in (("a", 1), ("a", 2), ("a1",), ("a", "1", ""), (1, "a"))]
    assert len({seal.context for seal in contexts if seal is not None}) == len(contexts)
    first, second = open_seal(True, "a", 1), open_seal(True, "a", "1")
    assert first is not None
    assert second is not None
    assert first.context == second.context
    assert first.within("x").context not in (first.context, first.within("y").context)


def test_names_that_look_alike_are_found_together(samples: Samples, vault: Vault) -> None:
    names = np.array(["Zo\u00eb", "ann", "Zoe\u0308"])
    write(replace(samples.slice(0, 3), subject_ids=names), Seal(vault, "a context"))
    for spelling in (names[0], names[2]):
        assert read_samples(FILE, str(spelling)).subject_ids.tolist() == [names[0], names[2]]
