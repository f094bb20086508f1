"""The key-encryption key (KEK) is changed: all keys are put under a new one, and the old one is destroyed."""

from functools import cache

from amun.core.errors import InputError
from amun.vault.kek import Kek, fingerprint_kek
from amun.vault.vault import Vault
from amun.vault.wrapping import wrap_key


def check_rotation(vault: Vault) -> None:
    """Sees that the keys are at hand and can be put under a new KEK.

    Raises:
        InputError, AmunError: as `Vault.own_key`; or the KEK's folder cannot be written to.
    """
    vault.check()
    with vault.hold():
        return


def rotate_kek(vault: Vault) -> None:
    """Puts all keys under a new KEK and destroys the old one; ends what a killed call has begun.

    Raises:
        InputError, AmunError: as `Vault.own_key`.
    """
    with vault.hold():
        vault.open(vault.store.read_own)
        # a copy of the store from between may lie under the successor of a killed call: that one has to go, too
        vault.kek.end_succession(vault.store.read_own()[0])
        _rewrap(vault, vault.kek)


def move_kek(vault: Vault, before: Kek) -> None:
    """Puts all keys under a new KEK in another place, and destroys the old one; ends what a killed call has begun.

    Args:
        vault: whose keys.
        before: where the KEK lay until now.

    Raises:
        InputError: it is to lie there, too; it did not lie there; or another key store's KEK is in the new place.
        AmunError: as `Vault.own_key`.
    """
    if before.name == vault.kek.name:
        raise InputError(f"the key-encryption key is to stay in {before.name}: name another place in AMUN_KEK")
    with vault.hold(), before.hold():
        fingerprint, replaced = vault.store.read_own()[0], vault.store.read_replaced()
        vault.kek.end_succession(fingerprint)
        if not _has(vault.kek, fingerprint):
            vault.kek.require_none()
            before.find(fingerprint)
            _rewrap(vault, before)
        elif not before.is_destroyed() and (replaced is None or not _has(before, replaced)):
            raise InputError(
                f"the key-encryption key lies in {vault.kek.name} already, and none that it has replaced in "
                f"{before.name}; nothing was changed"
            )
        before.destroy()


def _rewrap(vault: Vault, before: Kek) -> None:
    """Puts all keys from the KEK before under a new one, which takes its place."""
    find, successor = cache(before.find), vault.kek.draw_successor()
    vault.store.rewrap(
        fingerprint_kek(successor),
        lambda old, subject, wrapped: wrap_key(successor, subject, vault.unwrap(find(old), subject, wrapped)),
    )
    vault.kek.succeed()


def _has(kek: Kek, fingerprint: str) -> bool:
    """Tells whether the KEK of this fingerprint is in a place."""
    try:
        kek.find(fingerprint)
    except InputError:
        return False
    return True
