"""A receipt's body as the ledger keeps it: sealed under a key of its own, which the key store has."""

import json
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from amun.core.errors import AmunError
from amun.receipts.canonical import Json
from amun.vault.wrapping import NONCE_BYTES


def seal_body(key: bytes, name: str, body: Json, nonce: str) -> bytes:
    """Returns body and nonce, encrypted.

    Args:
        key: of 256 bits.
        name: of the key, which is authenticated with them.
        body: as JSON.
        nonce: of the commitment.
    """
    drawn = os.urandom(NONCE_BYTES)
    # not the canonical form: large numbers lose their point there, and are read as other ones
    content = json.dumps({"body": body, "nonce": nonce}).encode()
    return drawn + AESGCMSIV(key).encrypt(drawn, content, name.encode())


def open_body(key: bytes, name: str, sealed: bytes) -> tuple[Json, str]:
    """Returns body and nonce.

    Raises:
        AmunError: they are damaged, or lie under another key.
    """
    try:
        content = json.loads(AESGCMSIV(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], name.encode()))
    except (InvalidTag, ValueError):
        raise AmunError("a receipt in the ledger is damaged: it does not open under its key") from None
    return content["body"], content["nonce"]
