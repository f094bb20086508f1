"""The secret, and ids that mean nothing without it."""

import stat
from pathlib import Path

import pytest

from amun.core.errors import InputError
from amun.core.keys import (
    SECRET_VARIABLE,
    create_secret,
    file_digest,
    keyed_digest,
    load_secret,
    store_secret,
    subject_key,
)
from amun.core.paths import SECRET

FIRST, SECOND = bytes(32), bytes(31) + b"\x01"


@pytest.fixture(autouse=True)
def _no_secret_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)


def test_other_secret_other_ids() -> None:
    assert subject_key(FIRST, "subject-00001") != subject_key(SECOND, "subject-00001")
    assert subject_key(FIRST, "subject-00001") == subject_key(FIRST, "subject-00001")


def test_each_purpose_has_its_own_ids(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    digests = {
        subject_key(FIRST, "content"),
        file_digest(FIRST, tmp_path / "file"),
        keyed_digest(FIRST, "sample", b"content"),
        keyed_digest(FIRST, "sample", b"cont", b"ent"),
        keyed_digest(FIRST, "sample", b"conte", b"nt"),
    }
    assert len(digests) == 5
    assert {len(digest) for digest in digests} == {32}


def test_secret_is_made_once_and_for_its_owner(tmp_path: Path) -> None:
    create_secret(tmp_path)
    made = load_secret(tmp_path)
    create_secret(tmp_path)
    assert load_secret(tmp_path) == made
    assert len(made) == 32
    assert stat.S_IMODE((tmp_path / SECRET).stat().st_mode) == 0o600


def test_secret_of_the_environment_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_secret(tmp_path)
    monkeypatch.setenv(SECRET_VARIABLE, SECOND.hex())
    assert load_secret(tmp_path) == SECOND


@pytest.mark.parametrize("text", ["", "swordfish", "00" * 31, "zz" * 32])
def test_what_is_no_secret_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="64 hexadecimal digits"):
        store_secret(tmp_path, text)
    assert not (tmp_path / SECRET).exists()


def test_without_a_secret_it_is_no_workspace(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="amun init"):
        load_secret(tmp_path)
