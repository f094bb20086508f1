"""The key that signs receipts: made once, refused where others may read it; and its public half."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from amun.core.errors import InputError
from amun.receipts.signing import (
    RECEIPT_KEY_VARIABLE,
    locate_signing_key,
    parse_public_keys,
    provide_signing_key,
    read_signing_key,
    replace_signing_key,
    verify_signature,
    write_public_key,
)
from tests.amun.receipts.bodies import KEY, OTHER_KEY


def test_key_is_made_once_and_signs(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "key"
    with pytest.raises(InputError, match="there is no key at"):
        read_signing_key(path)
    key = provide_signing_key(path)
    assert path.stat().st_mode & 0o777 == 0o400
    assert provide_signing_key(path).public_key == read_signing_key(path).public_key == key.public_key
    signature = key.sign(b"content")
    assert verify_signature(key.public_key, signature, b"content")
    assert not verify_signature(key.public_key, signature, b"content ")
    assert not verify_signature(KEY.public_key, signature, b"content")
    assert not verify_signature("00", signature, b"content")
    another = replace_signing_key(path)
    assert another.public_key != key.public_key
    assert path.stat().st_mode & 0o777 == 0o400
    assert [one.name for one in path.parent.iterdir() if "unfinished" in one.name] == []


@pytest.mark.parametrize("mode", [0o600, 0o440, 0o404])
def test_key_that_others_may_read_or_anybody_change_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    provide_signing_key(path)
    path.chmod(mode)
    with pytest.raises(InputError, match=f"has mode {mode | 0o400:03o}; type `chmod 400"):
        read_signing_key(path)


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    curve = generate_private_key(SECP256R1())
    pem = curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for content in (b"", b"0" * 64, b"\xff\xfe", pem, write_public_key(KEY.public_key).encode()):
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        path.chmod(0o400)
        with pytest.raises(InputError, match="is no private key of Ed25519"):
            read_signing_key(path)
    public = curve.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    with pytest.raises(InputError, match="none of Ed25519"):
        parse_public_keys(public, "it")
    with pytest.raises(InputError, match="has no public key"):
        parse_public_keys("nothing", "it")


def test_public_keys_come_back_whatever_stands_between() -> None:
    text = f"ours:\n{write_public_key(KEY.public_key)}\nlater:\n{write_public_key(OTHER_KEY.public_key)}"
    assert parse_public_keys(text, "it") == [KEY.public_key, OTHER_KEY.public_key]


def test_environment_says_where_the_key_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RECEIPT_KEY_VARIABLE, raising=False)
    assert locate_signing_key(tmp_path) == tmp_path / ".amun/receipt-key"
    monkeypatch.setenv(RECEIPT_KEY_VARIABLE, f"file:{tmp_path}/elsewhere")
    assert locate_signing_key(tmp_path) == tmp_path / "elsewhere"
    for wrong in ("elsewhere", "file:elsewhere", f"{tmp_path}/elsewhere", "pkcs11:token=x"):
        monkeypatch.setenv(RECEIPT_KEY_VARIABLE, wrong)
        with pytest.raises(InputError, match=RECEIPT_KEY_VARIABLE):
            locate_signing_key(tmp_path)


def test_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="ascii")
    with pytest.raises(InputError, match="cannot be written"):
        provide_signing_key(tmp_path / "file" / "key")
