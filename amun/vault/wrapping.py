"""Keys as bytes: how one is wrapped under another, and what is derived from one."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from amun.vault.kek import KEY_BYTES

NONCE_BYTES = 12


@dataclass(frozen=True)
class SubjectKey:
    """One subject's key, as it is used.

    Attributes:
        subject: the keyed id.
        name: the id as the source of the data spells it.
        cipher: AES-256-GCM-SIV.
        nonce_key: from which each payload's nonce is derived.
        sample_key: by which the person's samples are named.
    """

    subject: str
    name: str
    cipher: AESGCMSIV
    nonce_key: bytes
    sample_key: bytes


def wrap_key(kek: bytes, subject: str, key: bytes) -> bytes:
    """Returns a key, with what stands behind its bytes, wrapped under another for this subject or key id alone."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCMSIV(kek).encrypt(nonce, key, subject.encode())


def unwrap_keys(kek: bytes, wrapped: Mapping[str, bytes]) -> dict[str, bytes]:
    """Returns what was wrapped for each of these subjects or key ids.

    Raises:
        InvalidTag, ValueError: one was wrapped by another key, for somebody else, or is damaged.
    """
    # to make a cipher takes longer than to open a key with it
    cipher = AESGCMSIV(kek)
    return {
        subject: cipher.decrypt(key[:NONCE_BYTES], key[NONCE_BYTES:], subject.encode())
        for subject, key in wrapped.items()
    }


def use_key(subject: str, key: bytes) -> SubjectKey:
    """Returns a key split in three, for no key does two things; what stands behind its first 32 bytes is its name."""
    drawn, name = key[:KEY_BYTES], read_name(key)
    cipher = AESGCMSIV(derive_key(drawn, b"payload"))
    return SubjectKey(subject, name, cipher, derive_key(drawn, b"nonce"), derive_key(drawn, b"sample id"))


def read_name(key: bytes) -> str:
    """Returns what stands behind a key's bytes: its person's name, or a note."""
    return key[KEY_BYTES:].decode()


def derive_key(key: bytes, purpose: bytes) -> bytes:
    """Returns the key (256 bits) that is made of another for one purpose (16 bytes at most), by keyed BLAKE2b."""
    return hashlib.blake2b(key=key, digest_size=KEY_BYTES, person=purpose).digest()
