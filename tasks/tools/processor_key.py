"""The key and the certificate by which privacy suites know what this processor says (OpenDSR 2.0, sections 4 and 8).

A suite fetches the certificate, so that an authority which it trusts has to have issued it, to the domain at which
requests come in. The one with which that domain speaks TLS does.
"""

import base64
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from amun.core.errors import InputError
from tasks.tools.secret_files import read_secret

KEY_VARIABLE = "AMUN_OPENDSR_KEY"
CERTIFICATE_VARIABLE = "AMUN_OPENDSR_CERTIFICATE"
MIN_BITS = 2048


@dataclass(frozen=True)
class ProcessorKey:
    """What answers and callbacks are signed with.

    Attributes:
        domain: that the certificate was issued to.
        certificate: with those that certify it, in PEM.
    """

    domain: str
    certificate: str
    _private: RSAPrivateKey

    def sign(self, body: bytes) -> dict[str, str]:
        """Returns the heads that go with a body: RSA (PKCS #1, 1.5) on its SHA-256, in base64."""
        signature = base64.b64encode(self._private.sign(body, PKCS1v15(), SHA256())).decode("ascii")
        return {"X-OpenDSR-Processor-Domain": self.domain, "X-OpenDSR-Signature": signature}


def find_processor_key() -> ProcessorKey | None:
    """Returns the key that the environment names; None where it names none: then no request of OpenDSR is taken.

    Raises:
        InputError: one of the two is missing, they do not belong together, or cannot be used.
    """
    named = os.environ.get(CERTIFICATE_VARIABLE, "")
    if not named and not os.environ.get(KEY_VARIABLE):
        return None
    private = _read_private()
    certificate, text = _read_certificate(Path(named.removeprefix("file:")), named)
    if _write_public(certificate.public_key()) != _write_public(private.public_key()):
        raise InputError(f"{CERTIFICATE_VARIABLE}: {named} was not issued to the key that {KEY_VARIABLE} names")
    return ProcessorKey(_find_domain(certificate, named), text, private)


def _read_private() -> RSAPrivateKey:
    try:
        private = load_pem_private_key(read_secret(KEY_VARIABLE).encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        private = None
    if not isinstance(private, RSAPrivateKey) or private.key_size < MIN_BITS:
        raise InputError(
            f"{KEY_VARIABLE}: no private key of RSA in PEM, without a password, of {MIN_BITS} bits or more"
        )
    return private


def _read_certificate(path: Path, named: str) -> tuple[x509.Certificate, str]:
    try:
        text = path.read_text(encoding="ascii")
        first, *_ = x509.load_pem_x509_certificates(text.encode())
    except OSError as error:
        raise InputError(f"{CERTIFICATE_VARIABLE}: {named or 'not set'} cannot be read: {error.strerror}") from None
    except ValueError:
        raise InputError(f"{CERTIFICATE_VARIABLE}: {named} has no certificate in PEM") from None
    if first.not_valid_after_utc <= datetime.now(UTC):
        raise InputError(f"{CERTIFICATE_VARIABLE}: {named} has expired on {first.not_valid_after_utc:%Y-%m-%d}")
    return first, text


def _find_domain(certificate: x509.Certificate, named: str) -> str:
    """Returns the first name that a certificate was issued to."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return next(name for name in extension.value.get_values_for_type(x509.DNSName) if "*" not in name)
    except (x509.ExtensionNotFound, StopIteration):
        raise InputError(f"{CERTIFICATE_VARIABLE}: {named} was issued to no domain by its name") from None


def _write_public(key: object) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined,no-any-return]
