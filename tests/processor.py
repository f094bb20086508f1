"""A key and a certificate for what privacy suites are told, and the look at a signature that they take."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tasks.tools.processor_key import CERTIFICATE_VARIABLE, KEY_VARIABLE

DOMAIN = "dsr.example.org"


@cache
def make_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def certify(key: Any, *domains: str, days: int = 1) -> str:
    """Returns a certificate of a key that certifies itself."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "example")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - timedelta(days=9))
    builder = builder.not_valid_after(now + timedelta(days=days))
    if domains:
        names = x509.SubjectAlternativeName([x509.DNSName(domain) for domain in domains])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode("ascii")


def name_key(
    folder: Path, monkeypatch: pytest.MonkeyPatch, key: Any = None, certificate: str | None = None
) -> tuple[Path, Path]:
    """Names a key and its certificate to the environment, and returns where they lie."""
    chosen = key or make_key()
    private, public = folder / "dsr-key.pem", folder / "dsr-certificate.pem"
    private.write_bytes(chosen.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    private.chmod(0o600)
    public.write_text(certificate or certify(chosen, DOMAIN), encoding="ascii")
    monkeypatch.setenv(KEY_VARIABLE, f"file:{private}")
    monkeypatch.setenv(CERTIFICATE_VARIABLE, f"file:{public}")
    return private, public


def assert_signed(headers: Mapping[str, str], body: bytes, certificate: str) -> None:
    """Checks a signature as a privacy suite does."""
    (found,) = x509.load_pem_x509_certificates(certificate.encode())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert headers["X-OpenDSR-Processor-Domain"] in names.get_values_for_type(x509.DNSName)
    public = found.public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    public.verify(base64.b64decode(headers["X-OpenDSR-Signature"]), body, PKCS1v15(), hashes.SHA256())
