"""A folder as a workspace that seals: a secret, a key store, a key-encryption key."""

from collections.abc import Collection
from pathlib import Path

from amun.core.keys import store_secret
from amun.vault.vault import Vault, create_vault, open_vault

SECRET = "ab" * 32


def make_vault(folder: Path, secret: str = SECRET) -> Vault:
    """Returns the vault of a folder that is made a workspace of one."""
    store_secret(folder, secret)
    return create_vault(folder)


def destroy_keys(folder: Path, names: Collection[str]) -> None:
    """Destroys people's keys in a workspace's key store, where they are."""
    open_vault(folder).destroy_keys(names)
