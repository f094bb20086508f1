"""Fingerprints lie in the key store, sealed under keys of their own that rotate with others, until they are over."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from amun.core.errors import AmunError
from amun.core.keys import store_secret
from amun.core.paths import KEK, KEYS
from amun.vault import fingerprint_table
from amun.vault.database import KEYS_VARIABLE
from amun.vault.fingerprints import (
    _name_fingerprint,
    count_fingerprints,
    destroy_fingerprints,
    keep_erased_weights,
    keep_fingerprint,
    read_erased_weights,
    read_fingerprints,
)
from amun.vault.kek import KEK_VARIABLE
from amun.vault.rotation import rotate_kek
from amun.vault.vault import WEIGHTS, Vault, create_vault
from tests.amun.ledger.conftest import create_postgres_schema
from tests.postgres import run_postgres

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
PEOPLE = ["ann", "bob", "Zo\u00eb"]
CONTENT = {name: f"what {name} is looked for by".encode() * 9000 for name in PEOPLE}


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    """The url of a server of its own."""
    with run_postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def shared(request: pytest.FixtureRequest, vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    """A vault on either database, with the fingerprints of some people."""
    if request.param == "postgres":
        url = create_postgres_schema(request.getfixturevalue("postgres_url"), tmp_path.name)
        monkeypatch.setenv(KEYS_VARIABLE, url)
        monkeypatch.setenv(KEK_VARIABLE, f"file:{tmp_path / 'shared-kek'}")
        vault = create_vault()
    assert read_fingerprints(vault, PEOPLE) == {}
    assert destroy_fingerprints(vault, NOW) == 0
    for number, name in enumerate(PEOPLE):
        keep_fingerprint(vault, name, CONTENT[name], NOW + timedelta(days=number))
    return vault


def test_fingerprint_is_kept_through_rotations_until_its_time_is_over(shared: Vault) -> None:
    assert shared.store.count_keys() == 0
    rotate_kek(shared)
    assert read_fingerprints(shared, [*PEOPLE, "nobody"]) == CONTENT
    # however its letters are composed
    assert read_fingerprints(shared, ["Zoe\u0308"]) == {"Zoe\u0308": CONTENT["Zo\u00eb"]}
    assert destroy_fingerprints(shared, NOW - timedelta(seconds=1)) == 0
    assert destroy_fingerprints(shared, NOW + timedelta(days=1)) == 2
    assert set(read_fingerprints(shared, PEOPLE)) == {"Zo\u00eb"}
    keep_fingerprint(shared, "Zo\u00eb", b"another", NOW)
    assert read_fingerprints(shared, PEOPLE) == {"Zo\u00eb": b"another"}


def test_erased_weights_are_kept_once_for_each_workspace_and_end_as_peoples_fingerprints(
    shared: Vault, tmp_path: Path
) -> None:
    assert read_erased_weights(shared) == []
    for content in (b"one", b"other", b"one"):
        keep_erased_weights(shared, content, NOW + timedelta(days=1))
    store_secret(tmp_path / "elsewhere", "cd" * 32)
    theirs = Vault(shared.store, shared.kek, tmp_path / "elsewhere")
    keep_erased_weights(theirs, b"theirs", NOW + timedelta(days=9))
    rotate_kek(shared)
    assert (sorted(read_erased_weights(shared)), read_erased_weights(theirs)) == ([b"one", b"other"], [b"theirs"])
    assert read_fingerprints(shared, PEOPLE) == CONTENT
    assert (shared.store.count_keys(), shared.store.count_keys(WEIGHTS)) == (0, 0)
    # of two people, and two of weights
    assert count_fingerprints(shared, NOW + timedelta(days=1)) == 4
    assert destroy_fingerprints(shared, NOW + timedelta(days=1)) == 4
    assert (read_erased_weights(shared), read_erased_weights(theirs)) == ([], [b"theirs"])


def test_nothing_of_a_fingerprint_lies_in_clear_or_opens_as_another(vault: Vault) -> None:
    for name in PEOPLE[:2]:
        keep_fingerprint(vault, name, CONTENT[name], NOW)
    files = b"".join(path.read_bytes() for path in KEYS.parent.glob(f"{KEYS.name}*"))
    assert all(word not in files for word in (b"looked for", *(name.encode() for name in PEOPLE[:2])))
    with closing(sqlite3.connect(KEYS)) as connection, connection:
        rows = dict(connection.execute("SELECT subject, wrapped FROM subject_key WHERE subject LIKE 'fingerprint/%'"))
        for person, wrapped in zip(rows, reversed(rows.values()), strict=True):
            connection.execute("UPDATE subject_key SET wrapped = ? WHERE subject = ?", (wrapped, person))
    with pytest.raises(AmunError, match="is damaged"):
        read_fingerprints(vault, PEOPLE)


def test_copy_of_the_key_store_opens_no_fingerprint_once_the_kek_is_destroyed(vault: Vault, tmp_path: Path) -> None:
    keep_fingerprint(vault, "ann", CONTENT["ann"], NOW)
    shutil.copy(KEYS, tmp_path / "backup.db")
    destroy_fingerprints(vault, NOW)
    rotate_kek(vault)
    assert KEK.exists()
    assert read_fingerprints(vault, PEOPLE) == {}
    KEYS.unlink()
    shutil.copy(tmp_path / "backup.db", KEYS)
    with pytest.raises(AmunError, match="bring that one from"):
        read_fingerprints(vault, PEOPLE)


def test_removed_fingerprint_leaves_no_byte_in_the_file(vault: Vault) -> None:
    keep_fingerprint(vault, "ann", CONTENT["ann"], NOW)
    _, found = fingerprint_table.read_fingerprints(vault.store, [_name_fingerprint(vault, "ann")])
    ((wrapped, sealed),) = found.values()
    assert wrapped in KEYS.read_bytes()
    destroy_fingerprints(vault, NOW)
    content = KEYS.read_bytes()
    assert wrapped not in content
    assert all(sealed[start : start + 64] not in content for start in range(0, len(sealed) - 64, 1000))
