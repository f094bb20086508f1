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
from amun.vault.kek import KEK_VARIABLE
from amun.vault.key_store import KEYS_VARIABLE
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
    assert vault.read_fingerprints(PEOPLE) == {}
    assert vault.destroy_fingerprints(NOW) == 0
    for number, name in enumerate(PEOPLE):
        vault.keep_fingerprint(name, CONTENT[name], NOW + timedelta(days=number))
    return vault


def test_fingerprint_is_kept_through_rotations_until_its_time_is_over(shared: Vault) -> None:
    assert shared.store.count_keys() == 0
    shared.rotate()
    assert shared.read_fingerprints([*PEOPLE, "nobody"]) == CONTENT
    # however its letters are composed
    assert shared.read_fingerprints(["Zoe\u0308"]) == {"Zoe\u0308": CONTENT["Zo\u00eb"]}
    assert shared.destroy_fingerprints(NOW - timedelta(seconds=1)) == 0
    assert shared.destroy_fingerprints(NOW + timedelta(days=1)) == 2
    assert set(shared.read_fingerprints(PEOPLE)) == {"Zo\u00eb"}
    shared.keep_fingerprint("Zo\u00eb", b"another", NOW)
    assert shared.read_fingerprints(PEOPLE) == {"Zo\u00eb": b"another"}


def test_erased_weights_are_kept_once_for_each_workspace_and_end_as_peoples_fingerprints(
    shared: Vault, tmp_path: Path
) -> None:
    assert shared.read_erased_weights() == []
    for content in (b"one", b"other", b"one"):
        shared.keep_erased_weights(content, NOW + timedelta(days=1))
    store_secret(tmp_path / "elsewhere", "cd" * 32)
    theirs = Vault(shared.store, shared.kek, tmp_path / "elsewhere")
    theirs.keep_erased_weights(b"theirs", NOW + timedelta(days=9))
    shared.rotate()
    assert (sorted(shared.read_erased_weights()), theirs.read_erased_weights()) == ([b"one", b"other"], [b"theirs"])
    assert shared.read_fingerprints(PEOPLE) == CONTENT
    assert (shared.store.count_keys(), shared.store.count_keys(WEIGHTS)) == (0, 0)
    # of two people, and two of weights
    assert shared.count_fingerprints(NOW + timedelta(days=1)) == 4
    assert shared.destroy_fingerprints(NOW + timedelta(days=1)) == 4
    assert (shared.read_erased_weights(), theirs.read_erased_weights()) == ([], [b"theirs"])


def test_nothing_of_a_fingerprint_lies_in_clear_or_opens_as_another(vault: Vault) -> None:
    for name in PEOPLE[:2]:
        vault.keep_fingerprint(name, CONTENT[name], NOW)
    files = b"".join(path.read_bytes() for path in KEYS.parent.glob(f"{KEYS.name}*"))
    assert all(word not in files for word in (b"looked for", *(name.encode() for name in PEOPLE[:2])))
    with closing(sqlite3.connect(KEYS)) as connection, connection:
        rows = dict(connection.execute("SELECT subject, wrapped FROM subject_key WHERE subject LIKE 'fingerprint/%'"))
        for person, wrapped in zip(rows, reversed(rows.values()), strict=True):
            connection.execute("UPDATE subject_key SET wrapped = ? WHERE subject = ?", (wrapped, person))
    with pytest.raises(AmunError, match="is damaged"):
        vault.read_fingerprints(PEOPLE)


def test_copy_of_the_key_store_opens_no_fingerprint_once_the_kek_is_destroyed(vault: Vault, tmp_path: Path) -> None:
    vault.keep_fingerprint("ann", CONTENT["ann"], NOW)
    shutil.copy(KEYS, tmp_path / "backup.db")
    vault.destroy_fingerprints(NOW)
    vault.rotate()
    assert KEK.exists()
    assert vault.read_fingerprints(PEOPLE) == {}
    KEYS.unlink()
    shutil.copy(tmp_path / "backup.db", KEYS)
    with pytest.raises(AmunError, match="bring that one from"):
        vault.read_fingerprints(PEOPLE)


def test_removed_fingerprint_leaves_no_byte_in_the_file(vault: Vault) -> None:
    vault.keep_fingerprint("ann", CONTENT["ann"], NOW)
    _, found = vault.store.read_fingerprints([vault._name_fingerprint("ann")])
    ((wrapped, sealed),) = found.values()
    assert wrapped in KEYS.read_bytes()
    vault.destroy_fingerprints(NOW)
    content = KEYS.read_bytes()
    assert wrapped not in content
    assert all(sealed[start : start + 64] not in content for start in range(0, len(sealed) - 64, 1000))
