"""Keys that are no person's: models' weights lie under one each, and so do receipts."""

import hashlib
import os
from collections.abc import Collection

from amun.core.errors import AmunError, InputError
from amun.vault.database import MARK
from amun.vault.kek import KEY_BYTES
from amun.vault.suppression import enter_key
from amun.vault.vault import Vault
from amun.vault.wrapping import SubjectKey, derive_key, read_name, wrap_key

ID_BYTES = 16


def name_key(vault: Vault, kind: str, content: bytes) -> str:
    """Returns the id of a key that is no person's: equal for equal contents of a kind, and telling nothing of them.

    Raises:
        InputError, AmunError: as `Vault.own_key`.
    """
    digest = hashlib.blake2b(content, key=derive_key(vault.own_key, kind.encode()), digest_size=ID_BYTES)
    return f"{kind}{MARK}{digest.hexdigest()}"


def keep_key(vault: Vault, key_id: str, drawn: bytes, note: str) -> SubjectKey:
    """Keeps a key that is no person's, with a note, unless there is one of this id; returns the one that is kept.

    Raises:
        InputError, AmunError: as `Vault.own_key`; or it was destroyed: what lay under it is not made anew.
    """
    text = drawn + note.encode()
    vault.store.add_keys(
        [key_id],
        lambda kek, subject: wrap_key(vault.kek.find(kek), subject, text),
        unless=[enter_key(key_id)],
        refusal=InputError(
            f"{vault.store.name}: the very same {key_id.partition(MARK)[0]} are erased, for they had learned people "
            "who are: nobody makes them anew"
        ),
    )
    return vault.find_keys([key_id])[key_id]


def list_notes(vault: Vault, kind: str) -> dict[str, str]:
    """Returns what was noted with each key of a kind, by the key's id.

    Raises:
        InputError, AmunError: as `Vault.own_key`.
    """
    kek, wrapped = vault.open(lambda: vault.store.read_keys_of(kind))
    return {key_id: read_name(key) for key_id, key in vault.unwrap_all(kek, wrapped).items()}


def provide_named_key(vault: Vault, name: str) -> bytes:
    """Returns the key (256 bits) of something that is no person's sample, made where there is none yet.

    Raises:
        InputError, AmunError: as `Vault.own_key`.
    """
    if (key := find_named_key(vault, name)) is None:
        vault.store.add_keys([name], lambda kek, subject: wrap_key(vault.kek.find(kek), subject, os.urandom(KEY_BYTES)))
        key = find_named_key(vault, name)
    if key is None:
        raise AmunError(f"a key was destroyed in {vault.store.name} as it was made; run this again")
    return key


def find_named_key(vault: Vault, name: str) -> bytes | None:
    """Returns the key of this name; None where there is none, or none any more.

    Raises:
        InputError, AmunError: as `Vault.own_key`.
    """
    kek, wrapped = vault.open(lambda: vault.store.read_keys([name]))
    return vault.unwrap(kek, name, wrapped[name]) if name in wrapped else None


def destroy_named_keys(vault: Vault, names: Collection[str]) -> int:
    """Destroys the keys of these names; returns how many these were. As with people's, `rotate_kek` belongs to it.

    Raises:
        InputError, AmunError: as `Vault.own_key`.
    """
    return vault.store.remove_keys(list(names))
