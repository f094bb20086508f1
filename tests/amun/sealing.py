"""A folder as a workspace that seals: a secret, a key store, a key-encryption key."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from amun.core.keys import load_secret, store_secret, subject_key
from amun.core.paths import KEYS
from amun.vault.vault import Vault, create_vault

SECRET = "ab" * 32


def make_vault(folder: Path, secret: str = SECRET) -> Vault:
    """Returns the vault of a folder that is made a workspace of one."""
    store_secret(folder, secret)
    return create_vault(folder)


def destroy_keys(folder: Path, names: Iterable[str]) -> None:
    """Takes people's keys out of a workspace's key store, where they are."""
    secret = load_secret(folder)
    with closing(sqlite3.connect(folder / KEYS)) as connection, connection:
        for name in names:
            connection.execute("DELETE FROM subject_key WHERE subject = ?", (subject_key(secret, name),))
