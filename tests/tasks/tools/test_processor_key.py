"""The key for privacy suites is one that they could verify, or is refused in one line."""

import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from amun.core.errors import InputError
from tasks.tools.processor_key import CERTIFICATE_VARIABLE, KEY_VARIABLE, find_processor_key
from tasks.workspace.callbacks import CALLBACKS_VARIABLE, read_origins
from tests.processor import DOMAIN, assert_signed, certify, make_key, name_key
from tests.readme import fill_in, read_blocks, read_variables


def test_what_is_signed_can_be_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name_key(tmp_path, monkeypatch, certificate=certify(make_key(), "*.example.org", DOMAIN, "example.org"))
    key = find_processor_key()
    assert key is not None
    assert key.domain == DOMAIN
    assert_signed(key.sign(b"body"), b"body", key.certificate)


def test_no_key_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    monkeypatch.delenv(CERTIFICATE_VARIABLE, raising=False)
    assert find_processor_key() is None


def test_key_of_the_page_can_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw, name = read_blocks("opendsr.md", "sh")
    subprocess.run(["sh", "-ec", draw], cwd=tmp_path, check=True, capture_output=True)
    request = x509.load_pem_x509_csr((tmp_path / "dsr-request.pem").read_bytes())
    # what an authority issues to what the request asks for
    domains = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    key = load_pem_private_key((tmp_path / "dsr-key.pem").read_bytes(), None)
    certificate = tmp_path / "dsr-certificate.pem"
    certificate.write_text(certify(key, *domains.get_values_for_type(x509.DNSName)), encoding="ascii")
    named = read_variables(fill_in(name, {"/var/lib/amun/keys": shlex.quote(str(tmp_path))}))
    assert named.keys() == {KEY_VARIABLE, CERTIFICATE_VARIABLE, CALLBACKS_VARIABLE}
    for variable, value in named.items():
        monkeypatch.setenv(variable, value)
    found = find_processor_key()
    assert found is not None
    assert found.domain == DOMAIN
    assert len(read_origins()) == 2


@pytest.mark.parametrize(
    ("key", "certificate", "words"),
    [
        (ec.generate_private_key(ec.SECP256R1()), None, "no private key of RSA"),
        (rsa.generate_private_key(65537, 1024), None, "2048 bits or more"),  # noqa: S505 - it is refused
        (None, certify(ec.generate_private_key(ec.SECP256R1()), DOMAIN), "was not issued to the key"),
        (None, certify(make_key(), DOMAIN, days=-1), "has expired on"),
        (None, certify(make_key()), "was issued to no domain by its name"),
        (None, certify(make_key(), "*.example.org"), "was issued to no domain by its name"),
        (None, "no PEM", "has no certificate in PEM"),
    ],
)
def test_key_that_cannot_be_used(
    key: Any, certificate: str | None, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_key(tmp_path, monkeypatch, key, certificate)
    with pytest.raises(InputError, match=words):
        find_processor_key()


def test_half_of_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, public = name_key(tmp_path, monkeypatch)
    public.unlink()
    with pytest.raises(InputError, match=f"{CERTIFICATE_VARIABLE}: .* cannot be read: No such file"):
        find_processor_key()
    private.chmod(0o644)
    with pytest.raises(InputError, match=f"{KEY_VARIABLE}: .* has mode 644"):
        find_processor_key()
    monkeypatch.delenv(KEY_VARIABLE)
    with pytest.raises(InputError, match=f"{KEY_VARIABLE}: it names no file"):
        find_processor_key()
