"""The key that signs receipts (Ed25519, RFC 8032): a file that its owner alone may read; and public keys."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from amun.core.errors import InputError
from amun.core.files import replace_file, require_mode
from amun.core.locks import hold_lock
from amun.core.paths import RECEIPT_KEY

RECEIPT_KEY_VARIABLE = "AMUN_RECEIPT_KEY"
_SCHEME = "file:"
_MODE = 0o400
_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)


class SigningKey:
    """A private key, as it is used.

    Attributes:
        public_key: 64 hexadecimal digits, by which the key is known.
    """

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public_key = private.public_key().public_bytes_raw().hex()

    def sign(self, content: bytes) -> str:
        """Returns the signature, 128 hexadecimal digits."""
        return self._private.sign(content).hex()


def locate_signing_key(workspace: Path) -> Path:
    """Returns where the environment says that the signing key lies, or else its place in the workspace.

    Raises:
        InputError: the environment names none that is known.
    """
    if not (named := os.environ.get(RECEIPT_KEY_VARIABLE)):
        return workspace / RECEIPT_KEY
    if not (path := Path(named.removeprefix(_SCHEME))).is_absolute() or not named.startswith(_SCHEME):
        raise InputError(f"{RECEIPT_KEY_VARIABLE}: {named!r} names no signing key; write file:/PATH")
    return path


def read_signing_key(path: Path) -> SigningKey:
    """Returns the signing key in a file.

    Raises:
        InputError: it is missing, others may read it or anybody change it, or it is none.
    """
    try:
        require_mode(RECEIPT_KEY_VARIABLE, path, _MODE)
        private = load_pem_private_key(path.read_bytes(), None)
    except FileNotFoundError:
        raise InputError(
            f"{RECEIPT_KEY_VARIABLE}: there is no key at {path} to sign receipts with; bring it from your backup or "
            "from where the workspace was made, or draw another one (`amun receipt key --new`)"
        ) from None
    except OSError as error:
        raise InputError(f"{RECEIPT_KEY_VARIABLE}: {path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        private = None
    if not isinstance(private, Ed25519PrivateKey):
        raise InputError(f"{RECEIPT_KEY_VARIABLE}: {path} is no private key of Ed25519 in PEM, without a password")
    return SigningKey(private)


def provide_signing_key(path: Path) -> SigningKey:
    """Returns the signing key in a file, made where there is none.

    Raises:
        InputError: as `read_signing_key`; or it cannot be written.
    """
    with _hold(path):
        if not path.exists():
            _write(path)
    return read_signing_key(path)


def replace_signing_key(path: Path) -> SigningKey:
    """Returns a new signing key, in the place of the one that is there; raises as `provide_signing_key`."""
    with _hold(path):
        _write(path)
    return read_signing_key(path)


def verify_signature(public_key: str, signature: str, content: bytes) -> bool:
    """Tells whether the key has signed the content; keys and signatures are hexadecimal digits."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(bytes.fromhex(signature), content)
    except (InvalidSignature, ValueError):
        return False
    return True


def write_public_key(public_key: str) -> str:
    """Returns a public key in PEM, as other programs read it."""
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def parse_public_keys(text: str, where: str) -> list[str]:
    """Returns the public keys of a file, which may have several.

    Raises:
        InputError: it has none, or one of another kind; the line says `where` it stands.
    """
    found = []
    for block in _PEM.findall(text):
        try:
            key = load_pem_public_key(block.encode())
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise InputError(f"{where} has a public key that is none of Ed25519")
        found.append(key.public_bytes_raw().hex())
    if not found:
        raise InputError(f"{where} has no public key; `amun receipt key` in the workspace writes it")
    return found


def tell_key(public_key: str) -> str:
    """Returns a public key as people compare it: its first 16 digits."""
    return public_key[:16]


def _write(path: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with replace_file(path, 0o600) as unfinished:
        with unfinished.open("wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        unfinished.chmod(_MODE)


@contextmanager
def _hold(path: Path) -> Iterator[None]:
    """Lets one process at a time make a key, and says of a place that cannot be written to that it is one."""
    try:
        with hold_lock(path.with_name(f"{path.name}.lock")):
            yield
    except OSError as error:
        raise InputError(f"{RECEIPT_KEY_VARIABLE}: {path} cannot be written: {error.strerror}") from None
