"""The secret and the keys of a bench's own folder, whatever workspace the shell that started it belongs to."""

import os
from pathlib import Path

from amun.core.keys import SECRET_VARIABLE, store_secret
from amun.vault.database import KEYS_VARIABLE
from amun.vault.kek import KEK_VARIABLE
from amun.vault.vault import create_vault

SECRET = "0" * 64  # nothing made with it leaves its temporary folder


def make_secrets(folder: Path) -> None:
    """Gives a folder a secret, a key store and a key-encryption key of its own."""
    for name in (SECRET_VARIABLE, KEYS_VARIABLE, KEK_VARIABLE):
        os.environ.pop(name, None)
    store_secret(folder, SECRET)
    create_vault(folder)
