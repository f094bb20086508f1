"""What is kept of erased people and of erased weights, so that the scan knows copies of them; sealed, for a time."""

import os
from collections.abc import Callable, Iterable
from datetime import datetime

from amun.core.keys import keyed_digest, load_secret
from amun.core.subject_ids import normalise
from amun.vault import fingerprint_table
from amun.vault.database import MARK
from amun.vault.kek import KEY_BYTES
from amun.vault.vault import Vault
from amun.vault.wrapping import derive_key, wrap_key

ERASED_WEIGHTS = "erased-weights"  # a kind of fingerprints that are no person's


def fingerprint_key(vault: Vault) -> bytes:
    """The key of the hashes in fingerprints: one for all of them, so that they are looked for at once."""
    return derive_key(vault.own_key, b"fingerprint")


def keep_fingerprint(vault: Vault, person: str, content: bytes, until: datetime) -> None:
    """Keeps a person's fingerprint, sealed under a key of its own, in the place of the one that there may be.

    Args:
        vault: which keeps it.
        person: by the name.
        content: the fingerprint.
        until: when it is destroyed.

    Raises:
        InputError, AmunError: as `Vault.find_names`.
    """
    _write_fingerprint(vault, _name_fingerprint(vault, person), content, until)


def read_fingerprints(vault: Vault, people: Iterable[str]) -> dict[str, bytes]:
    """Returns the fingerprints of those of these people, by their names, of whom one is kept.

    Raises:
        InputError, AmunError: as `Vault.find_names`.
    """
    name_of = {_name_fingerprint(vault, person): person for person in people}
    opened = _open_fingerprints(vault, lambda: fingerprint_table.read_fingerprints(vault.store, list(name_of)))
    return {name_of[name]: content for name, content in opened.items()}


def keep_erased_weights(vault: Vault, content: bytes, until: datetime) -> None:
    """Keeps by what erased weights are known again, sealed as people's fingerprints are, and once.

    Args:
        vault: which keeps it.
        content: what tells these weights from all others.
        until: when it is destroyed.

    Raises:
        InputError, AmunError: as `Vault.find_names`.
    """
    _write_fingerprint(vault, _name_erased_weights(vault, content), content, until)


def read_erased_weights(vault: Vault) -> list[bytes]:
    """Returns what is kept of erased weights of this workspace.

    Raises:
        InputError, AmunError: as `Vault.find_names`.
    """
    opened = _open_fingerprints(vault, lambda: fingerprint_table.read_fingerprints_of(vault.store, ERASED_WEIGHTS))
    # another workspace may keep its own in the same key store
    return [content for name, content in opened.items() if _name_erased_weights(vault, content) == name]


def _open_fingerprints(
    vault: Vault, read: Callable[[], tuple[str, dict[str, tuple[bytes, bytes]]]]
) -> dict[str, bytes]:
    """Returns what lies in fingerprints, by their names; `read` gives their wrapped keys and what these seal."""
    kek, found = vault.open(read)
    return {
        name: vault.unwrap(vault.unwrap(kek, name, wrapped), name, sealed) for name, (wrapped, sealed) in found.items()
    }


def count_fingerprints(vault: Vault, now: datetime) -> int:
    """Returns how many fingerprints there are whose time is over, of people and of erased weights."""
    return fingerprint_table.count_fingerprints(vault.store, now) if vault.store.is_made() else 0


def destroy_fingerprints(vault: Vault, now: datetime) -> int:
    """Destroys the fingerprints whose time is over, of people and of erased weights; returns how many."""
    return fingerprint_table.remove_fingerprints(vault.store, now) if vault.store.is_made() else 0


def _write_fingerprint(vault: Vault, name: str, content: bytes, until: datetime) -> None:
    vault.check()
    key = os.urandom(KEY_BYTES)
    sealed = wrap_key(key, name, content)
    fingerprint_table.write_fingerprint(
        vault.store, name, lambda kek: wrap_key(vault.kek.find(kek), name, key), sealed, until
    )


def _name_erased_weights(vault: Vault, content: bytes) -> str:
    return f"{ERASED_WEIGHTS}{MARK}{keyed_digest(load_secret(vault.workspace), 'erased weights', content)}"


def _name_fingerprint(vault: Vault, person: str) -> str:
    return f"fingerprint{MARK}{keyed_digest(load_secret(vault.workspace), 'fingerprint', normalise(person).encode())}"
