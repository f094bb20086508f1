"""The workspace secret, and the keyed ids and digests made with it.

What stands in git stands there for ever: an id there must mean nothing to whoever lacks the secret, even if they
hold the image and can guess how ids are made. A sample's id is to mean nothing to whoever has the secret either, once
its person is erased: where data are sealed the person's own key makes it of the secret's (`amun.store.naming`).
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from amun.core.errors import InputError
from amun.core.files import replace_file
from amun.core.paths import SECRET
from amun.core.subject_ids import list_spellings

SECRET_VARIABLE = "AMUN_SECRET"  # noqa: S105 - the name of a variable
ID_LENGTH = 32


def create_secret(workspace: Path) -> None:
    """Writes a new secret of 256 bits, readable by its owner alone; an existing one stays."""
    path = workspace / SECRET
    if path.exists():
        return
    store_secret(workspace, os.environ.get(SECRET_VARIABLE) or secrets.token_hex(32))


def store_secret(workspace: Path, text: str) -> None:
    """Writes a given secret (64 hexadecimal digits)."""
    parse_secret(text, SECRET_VARIABLE)
    with replace_file(workspace / SECRET, mode=0o600) as unfinished:
        unfinished.write_text(text + "\n", encoding="ascii")


def load_secret(workspace: Path) -> bytes:
    """Returns the secret from the environment or the workspace.

    Raises:
        InputError: there is none, or it is not 64 hexadecimal digits.
    """
    if text := os.environ.get(SECRET_VARIABLE):
        return parse_secret(text, SECRET_VARIABLE)
    path = workspace / SECRET
    if not path.exists():
        raise InputError(f"{workspace} is not a workspace yet: run `amun init` there first")
    return parse_secret(path.read_text(encoding="ascii").strip(), str(path))


def keyed_digest(secret: bytes, purpose: str, *parts: bytes) -> str:
    """Returns the HMAC-SHA256 of the parts, cut to 32 hexadecimal digits; each purpose has ids of its own."""
    digest = hmac.new(secret, purpose.encode(), hashlib.sha256)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:ID_LENGTH]


def is_keyed(name: str) -> bool:
    """Tells whether this has the form of a keyed id."""
    return len(name) == ID_LENGTH and set(name) <= set("0123456789abcdef")


def subject_key(secret: bytes, subject_id: str) -> str:
    """Returns the id by which git knows a subject."""
    return keyed_digest(secret, "subject", subject_id.encode())


def subject_keys(secret: bytes, subject_id: str) -> list[str]:
    """Returns every id by which git may know a subject: one for each spelling of the same name."""
    return [subject_key(secret, spelling) for spelling in list_spellings(subject_id)]


def fingerprint(secret: bytes) -> str:
    """Returns what git may hold of a secret, to tell whether another one is the same."""
    return keyed_digest(secret, "fingerprint")


def file_digest(secret: bytes, path: Path) -> str:
    """Returns the keyed digest of a file's content."""
    return keyed_digest(secret, "file", path.read_bytes())


def parse_secret(text: str, where: str) -> bytes:
    """Returns the secret that a text writes.

    Raises:
        InputError: it is not 64 hexadecimal digits; the line says `where` it was found.
    """
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        secret = b""
    if len(secret) != hashlib.sha256().digest_size:
        raise InputError(f"{where}: not a workspace secret; 64 hexadecimal digits are expected")
    return secret
