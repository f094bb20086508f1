"""A destroyed key is gone from the key store to the last byte, and nothing that is left opens what it had sealed.

Whose key it was is on the suppression list from that moment on.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from sqlalchemy import create_engine

from amun.core.errors import AmunError, InputError
from amun.core.keys import store_secret
from amun.core.paths import KEYS, SECRET
from amun.store.samples import Samples, write_samples
from amun.vault.database import KEYS_VARIABLE
from amun.vault.kek import KEK_VARIABLE, KekFile
from amun.vault.key_store import KeyStore
from amun.vault.named_keys import destroy_named_keys, find_named_key, provide_named_key
from amun.vault.rotation import rotate_kek
from amun.vault.seal import Content, Seal, _bind, derive_nonce
from amun.vault.suppression import EntryMaker
from amun.vault.vault import Vault, create_vault, open_vault
from amun.vault.wrapping import NONCE_BYTES, SubjectKey, use_key
from tests.amun.ledger.conftest import create_postgres_schema
from tests.amun.sealing import make_vault
from tests.amun.vault.conftest import get_file
from tests.postgres import run_postgres

# one person in four spellings, two of which no rule lists; and somebody who is not that person
SPELLINGS = ["Zo\u00eb \u00c5s", "Zoe\u0308 A\u030as", "Zo\u00eb A\u030as", "Zoe\u0308 \u212bs"]
OTHERS = [f"person {number}" for number in range(400)]
FILE = Path("data/train.parquet")


@pytest.fixture(params=["sqlite", "postgres"])
def shared(request: pytest.FixtureRequest, vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    """A vault on either database, with many people's keys."""
    if request.param == "postgres":
        url = create_postgres_schema(request.getfixturevalue("postgres_url"), tmp_path.name)
        monkeypatch.setenv(KEYS_VARIABLE, url)
        monkeypatch.setenv(KEK_VARIABLE, f"file:{tmp_path / 'shared-kek'}")
        vault = create_vault()
    vault.provide_keys([*OTHERS[:200], *SPELLINGS, *OTHERS[200:]])
    return vault


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    """The url of a server of its own."""
    with run_postgres() as url:
        yield url


def read_files(store: KeyStore) -> bytes:
    """Returns all that lies on the disk of a key store, journals too."""
    if store.path is not None:
        return b"".join(path.read_bytes() for path in store.path.parent.glob(f"{store.path.name}*"))
    engine = create_engine(store._url)
    with engine.connect() as connection:
        connection.exec_driver_sql("CHECKPOINT")
        query = "SELECT pg_read_binary_file(pg_relation_filepath('subject_key'))"
        content = bytes(connection.exec_driver_sql(query).scalar_one())
    engine.dispose()
    return content


def test_destroyed_key_leaves_no_byte_in_the_key_store(shared: Vault) -> None:
    _, before = shared.store.read_all_keys()
    destroyed = {key.subject for key in shared.provide_keys(SPELLINGS).values()}
    assert set(shared.find_names(SPELLINGS[:1])) == destroyed
    assert all(before[subject] in read_files(shared.store) for subject in destroyed)
    assert shared.destroy_keys(SPELLINGS[:1]) == len(SPELLINGS)
    content = read_files(shared.store)
    assert [subject for subject in before if before[subject] in content] == [
        subject for subject in before if subject not in destroyed
    ]
    rotate_kek(shared)
    assert shared.destroy_keys(SPELLINGS) == 0
    assert not [subject for subject in before if before[subject] in read_files(shared.store)]
    assert set(open_vault().store.read_all_keys()[1]) == set(before) - destroyed


def test_keys_of_another_workspace_in_the_same_key_store_stay(vault: Vault, tmp_path: Path) -> None:
    vault.provide_keys(["ann"])
    other = tmp_path / "other"
    make_vault(other, "cd" * 32)
    theirs = Vault(vault.store, vault.kek, other)
    theirs.provide_keys(["ann"])
    assert vault.destroy_keys(["ann"]) == 1
    assert len(theirs.find_names(["ann"])) == 1
    assert vault.find_names(["ann"]) == {}


NOT_THEM = {"ZOE AS": True, "Zo\u00eb-\u00c5s": True, "Zo\u00eb Os": False, "person 1": False}  # and who is near
PICTURES = [b"a picture's digest", b"another one's"]


def test_whoever_is_erased_is_refused_in_every_spelling_and_after_every_rotation(shared: Vault, tmp_path: Path) -> None:
    assert shared.read_suppression().entries == frozenset()
    shared.destroy_keys(SPELLINGS[:1], PICTURES)
    listed = shared.read_suppression()
    for _ in range(3):
        opened = open_vault()
        suppression = opened.read_suppression()
        assert suppression == listed
        assert [*map(suppression.has_person, SPELLINGS)] == [True] * 4
        assert [*map(suppression.has_picture, PICTURES)] == [True] * 2
        assert not suppression.has_picture(b"a third one's")
        assert {name: suppression.is_near(name) for name in NOT_THEM} == NOT_THEM
        assert not any(map(suppression.has_person, NOT_THEM))
        num_keys = opened.store.count_keys()
        for names in ([SPELLINGS[0]], [*OTHERS, "somebody new", SPELLINGS[3], SPELLINGS[1]]):
            with pytest.raises(InputError, match=r"^1 person is erased, and gets no key anew"):
                opened.provide_keys(names)
        assert opened.store.count_keys() == num_keys
        rotate_kek(opened)
    shared.destroy_keys(SPELLINGS, PICTURES)
    shared.suppress_people(["ZOE AS"])
    assert len(open_vault().provide_keys([*OTHERS, "Zo\u00eb Os"])) == len(OTHERS) + 1
    described = shared.describe()
    assert (described.num_listed, described.num_pictures) == (2, 2)
    # another workspace's person of the same name is somebody else; a picture is a picture
    other = tmp_path / "other"
    store_secret(other, "cd" * 32)
    theirs = Vault(shared.store, shared.kek, other)
    assert theirs.read_suppression().has_picture(PICTURES[0])
    assert len(theirs.provide_keys(SPELLINGS)) == 4
    # who lacks the key cannot ask the list
    assert listed.entries.isdisjoint(EntryMaker(b"", listed.maker.scope).enter_people(SPELLINGS))


def test_several_processes_write_one_list(shared: Vault) -> None:
    groups = [OTHERS[first : first + 40] for first in range(0, 120, 20)]
    children = []
    for group in groups:
        if not (child := os.fork()):
            try:
                open_vault().destroy_keys(group, [group[0].encode()])
                os._exit(0)
            finally:
                os._exit(1)  # whatever was raised, it is no second pytest
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * len(groups)
    suppression = shared.read_suppression()
    assert [name for name in OTHERS if suppression.has_person(name)] == OTHERS[:140]
    assert set(shared.find_names(OTHERS).values()) == set(OTHERS[140:])
    assert shared.describe().num_pictures == len(groups)


def test_whoever_is_erased_while_keys_are_asked_for_is_told_in_the_same_line(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_keys = KeyStore.add_keys

    def add_and_erase(store: KeyStore, *args: Any, **options: Any) -> None:
        add_keys(store, *args, **options)
        open_vault().destroy_keys(["ann", "bob"])

    monkeypatch.setattr(KeyStore, "add_keys", add_and_erase)
    with pytest.raises(InputError, match=r"^2 people are erased, and get no key anew"):
        vault.provide_keys(["ann", "bob", "eve"])


@pytest.mark.parametrize("refused", ["INSERT ON suppressed", "DELETE ON subject_key"])
def test_keys_go_with_the_entries_on_the_list_or_not_at_all(vault: Vault, refused: str) -> None:
    vault.provide_keys(["ann", "bob"])
    vault.destroy_keys(["bob"])
    with closing(sqlite3.connect(KEYS)) as connection, connection:
        connection.execute(f"CREATE TRIGGER stop BEFORE {refused} BEGIN SELECT RAISE(ABORT, 'the disk is full'); END")
    with pytest.raises(AmunError, match="refuses: the disk is full"):
        vault.destroy_keys(["ann"], PICTURES)
    assert list(vault.find_names(["ann"]).values()) == ["ann"]
    suppression = vault.read_suppression()
    assert (suppression.has_person("ann"), suppression.has_picture(PICTURES[0])) == (False, False)


def test_list_from_before_an_erasure_does_not_open(vault: Vault, tmp_path: Path) -> None:
    vault.provide_keys(["ann", "bob"])
    vault.destroy_keys(["ann"])
    rotate_kek(vault)
    shutil.copyfile(KEYS, tmp_path / "backup")
    vault.destroy_keys(["bob"])
    rotate_kek(vault)
    shutil.copyfile(tmp_path / "backup", KEYS)
    with pytest.raises(InputError, match="bring that one from where `amun keys rotate` ran last"):
        open_vault().read_suppression()


def attack(folder: Path, files: list[Path], key_stores: list[Path]) -> set[tuple[str, str]]:
    """Returns file and sample of each row that whoever has these files and the folder's KEK can open.

    Every key that can be unwrapped is tried on every row, as every subject's.
    """
    kek = bytes.fromhex((folder / ".amun/kek").read_text(encoding="ascii"))
    keys: list[SubjectKey] = []
    for path in key_stores:
        for subject, wrapped in KeyStore(f"sqlite:///{path}").read_all_keys()[1].items():
            try:
                key = AESGCMSIV(kek).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], subject.encode())
            except InvalidTag:
                continue
            keys.append(use_key(subject, key))
    return {(str(path), sample) for path in files for sample, row in read_rows(path) if can_open(row, keys)}


def read_rows(path: Path) -> Iterator[tuple[str, tuple[bytes, str, bytes]]]:
    """Yields each sealed row: its sample, and what it is bound to, whose it is, and its bytes."""
    table: Any = pq.read_table(path)
    told = {name.decode(): value.decode() for name, value in table.schema.metadata.items()}
    header = Content(told["kind"], told["context"], told["dtype"], told["shape"]).header
    for sample, subject, payload in zip(*(table.column(name).to_pylist() for name in table.column_names), strict=True):
        yield sample, (_bind(header, sample, subject), subject, payload)


def can_open(row: tuple[bytes, str, bytes], keys: list[SubjectKey]) -> bool:
    bound, _, payload = row
    for key in keys:
        try:
            key.cipher.decrypt(derive_nonce(key, bound), payload, bound)
        except InvalidTag:
            continue
        return True
    return False


def test_attacker_with_all_that_is_left_opens_every_row_but_those_of_the_erased(vault: Vault, tmp_path: Path) -> None:
    people = [*OTHERS[:3], *SPELLINGS] * 3
    samples = Samples(
        np.array([f"{number:032x}" for number in range(len(people))]),
        np.array(people),
        torch.arange(len(people)) % 5,
        torch.randint(0, 256, (len(people), 1, 4, 4), dtype=torch.uint8),
    )
    write_samples(FILE, samples, Seal(vault, "a context"))
    before, backup = Path("before.parquet"), tmp_path / "keys-backup.db"
    shutil.copyfile(FILE, before)
    shutil.copyfile(KEYS, backup)
    stores, everything = [tmp_path / KEYS, backup], {(str(FILE), one) for one in samples.sample_ids.tolist()}
    assert attack(tmp_path, [FILE], stores) == everything

    vault.destroy_keys(SPELLINGS[:1])
    # a backup of the key store and a KEK that still lives bring the keys back: that is why it is changed
    assert attack(tmp_path, [FILE], stores) == everything
    rotate_kek(vault)
    write_samples(FILE, samples.select(np.isin(samples.subject_ids, OTHERS)), Seal(vault, "another context"))
    assert (tmp_path / SECRET).exists()
    left = {
        (str(path), sample)
        for path in (FILE, before)
        for sample, person in zip(samples.sample_ids.tolist(), people, strict=True)
        if person in OTHERS
    }
    assert attack(tmp_path, [FILE, before], stores) == left
    assert not KekFile(get_file(vault).path).successor.exists()


def test_key_of_a_receipt_is_made_once_goes_under_each_kek_and_is_destroyed_alone(shared: Vault) -> None:
    assert find_named_key(shared, "receipt/1") is None
    first, second = (provide_named_key(shared, f"receipt/{number}") for number in (1, 2))
    assert provide_named_key(shared, "receipt/1") == first != second
    people, num_keys = shared.find_names([OTHERS[0]]), shared.describe().num_keys
    own, ((wrapped,),) = shared.own_key, _select(shared, "SELECT wrapped FROM subject_key WHERE subject = 'receipt/1'")
    rotate_kek(shared)
    assert find_named_key(open_vault(), "receipt/1") == first
    assert destroy_named_keys(shared, ["receipt/1", "of/nobody"]) == 1
    assert destroy_named_keys(shared, ["receipt/1"]) == 0
    assert find_named_key(shared, "receipt/1") is None
    assert find_named_key(shared, "receipt/2") == second
    # a key of something is nobody's
    assert (shared.describe().num_keys, shared.find_names([OTHERS[0]]), shared.own_key) == (num_keys, people, own)
    assert bytes(wrapped) not in read_files(shared.store)


def _select(vault: Vault, statement: str) -> list[Any]:
    with vault.store.read() as run:
        return run(statement)
