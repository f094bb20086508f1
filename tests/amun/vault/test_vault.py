"""Keys are made once, lie wrapped in a store of their own, and move to another key-encryption key whole."""

import os
import re
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from types import FrameType

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from amun.core.errors import AmunError, InputError
from amun.core.paths import KEK, KEYS
from amun.vault.database import KEYS_VARIABLE
from amun.vault.kek import KEK_VARIABLE, KekFile, read_kek, write_kek
from amun.vault.key_store import KeyStore
from amun.vault.rotation import rotate_kek
from amun.vault.vault import Vault, create_vault, lend_vault, open_vault
from amun.vault.wrapping import SubjectKey
from tests.amun.ledger.conftest import create_postgres_schema
from tests.amun.vault.conftest import get_file
from tests.postgres import run_postgres

NAMES = ["ann", "bob", "Zo\u00eb"]


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    """The url of a server of its own."""
    with run_postgres() as url:
        yield url


SCHEMAS = count()


@pytest.fixture(params=["sqlite", "postgres"])
def shared(request: pytest.FixtureRequest, vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    """A vault on either database, with the keys of some people."""
    if request.param == "postgres":
        url = create_postgres_schema(request.getfixturevalue("postgres_url"), f"vault_{next(SCHEMAS)}")
        monkeypatch.setenv(KEYS_VARIABLE, url)
        monkeypatch.setenv(KEK_VARIABLE, f"file:{tmp_path / 'shared-kek'}")
        vault = create_vault()
    vault.provide_keys(NAMES)
    return vault


def assert_same_keys(found: dict[str, SubjectKey], expected: dict[str, SubjectKey]) -> None:
    assert {name: (key.subject, key.name, key.nonce_key) for name, key in found.items()} == {
        name: (key.subject, key.name, key.nonce_key) for name, key in expected.items()
    }


def test_each_person_has_one_key_for_ever(shared: Vault) -> None:
    keys = shared.provide_keys(NAMES)
    assert list(keys) == NAMES
    assert [key.name for key in keys.values()] == NAMES
    assert len({key.nonce_key for key in keys.values()}) == len(NAMES)
    assert_same_keys(
        open_vault().provide_keys([*NAMES, "dora"]), keys | {"dora": shared.provide_keys(["dora"])["dora"]}
    )
    found = open_vault().find_keys([*(key.subject for key in keys.values()), "nobody"])
    assert_same_keys(found, {key.subject: key for key in keys.values()})
    assert shared.describe().num_keys == 4
    create_vault()
    assert_same_keys(open_vault().provide_keys(NAMES), keys)


def test_cipher_and_nonce_have_keys_of_their_own(vault: Vault) -> None:
    key = vault.provide_keys(["ann"])["ann"]
    nonce = bytes(12)
    assert key.cipher.encrypt(nonce, b"", None) != AESGCMSIV(key.nonce_key).encrypt(nonce, b"", None)


def test_store_has_no_key_and_no_name_in_clear(shared: Vault) -> None:
    stored = [wrapped for _, wrapped in [shared.store.read_own()]]
    subjects = [key.subject for key in shared.provide_keys(NAMES).values()]
    stored += shared.store.read_keys(subjects)[1].values()
    assert len(stored) == 4
    for wrapped in stored:
        assert not [name for name in NAMES if name.encode() in wrapped]
        assert shared.own_key not in wrapped


def test_key_of_one_person_does_not_open_as_another(vault: Vault) -> None:
    ann, bob = (key.subject for key in vault.provide_keys(["ann", "bob"]).values())
    with closing(sqlite3.connect(KEYS)) as connection, connection:
        connection.execute(
            "UPDATE subject_key SET wrapped = (SELECT wrapped FROM subject_key WHERE subject = ?) WHERE subject = ?",
            (ann, bob),
        )
    assert list(vault.find_keys([ann])) == [ann]
    with pytest.raises(AmunError, match="is damaged"):
        vault.find_keys([bob])


def test_rotation_keeps_every_key_and_destroys_the_old_one(shared: Vault) -> None:
    before, own, kek = shared.provide_keys(NAMES), shared.own_key, get_file(shared).path.read_bytes()
    fingerprint, _ = shared.store.read_own()
    backup = shared.store.read_keys([key.subject for key in before.values()])[1]
    rotate_kek(shared)
    summary = open_vault().describe()
    assert summary.fingerprint != fingerprint
    assert not summary.is_rotating
    assert_same_keys(open_vault().provide_keys(NAMES), before)
    assert open_vault().own_key == own
    assert get_file(shared).path.read_bytes() != kek
    assert get_file(shared).path.stat().st_mode & 0o777 == 0o400
    after = shared.store.read_keys(list(backup))[1]
    assert not [subject for subject in backup if backup[subject] == after[subject]]
    # a backup of the key store is of no use any more
    with pytest.raises(InputError, match=f"lie under {fingerprint}"):
        shared.kek.find(fingerprint)


def test_old_kek_is_overwritten_where_it_lay(vault: Vault) -> None:
    path = Path(KEK)
    os.link(path, "the same bytes")
    kek = path.read_bytes()
    rotate_kek(vault)
    assert Path("the same bytes").read_bytes() == bytes(len(kek))


def kill_rotation(num_lines: int, function: str = "") -> bool:
    """Rotates in a process that dies before it has run so many more lines; see `kill_in_vault`."""
    return kill_in_vault(num_lines, function, rotate_kek)


def kill_in_vault(num_lines: int, function: str, change: Callable[[Vault], None]) -> bool:
    """Changes a vault in a process that dies before it has run so many more lines of it; returns whether it did.

    Args:
        num_lines: how many.
        function: lines of this one alone count; empty for all.
        change: what it does.
    """
    left = num_lines

    def watch(frame: FrameType, event: str, _: object) -> object:
        nonlocal left
        is_meant = "amun/vault/" in frame.f_code.co_filename and function in ("", frame.f_code.co_name)
        if is_meant and event == "line":
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return watch

    if not (child := os.fork()):
        sys.settrace(watch)  # type: ignore[arg-type]
        change(open_vault())
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_rotation_killed_at_any_line_is_ended_by_the_next(vault: Vault) -> None:
    before, own_key = vault.provide_keys(NAMES), vault.own_key
    fingerprint, _ = vault.store.read_own()
    num_lines = 0
    while kill_rotation(num_lines):
        assert_same_keys(open_vault().provide_keys(NAMES), before)
        rotate_kek(open_vault())
        assert_same_keys(open_vault().provide_keys(NAMES), before)
        summary, killed = open_vault().describe(), fingerprint
        fingerprint = summary.fingerprint
        assert (fingerprint != killed, summary.is_rotating) == (True, False)
        num_lines += 5
    assert num_lines > 100
    assert open_vault().own_key == own_key


def test_copy_of_a_kek_killed_at_any_line_is_one_whole_key(vault: Vault, tmp_path: Path) -> None:
    vault.check()
    path, before, after = tmp_path / "copy", bytes(32), bytes(range(32))
    num_lines, found = 0, set[bytes]()
    write_kek(path, before)
    while kill_in_vault(num_lines, "write_kek", lambda _: write_kek(path, after)):
        found.add(read_kek(path))
        write_kek(path, before)
        assert read_kek(path) == before
        num_lines += 1
    assert found == {before, after}
    # what a killed call has left is not only unlinked
    (left := tmp_path / "copy.unfinished").write_bytes(path.read_bytes())
    (tmp_path / "link").hardlink_to(left)
    write_kek(path, before)
    assert not any((tmp_path / "link").read_bytes())


def test_copy_of_the_key_store_from_a_killed_rotation_opens_no_more(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.provide_keys(NAMES)
    with monkeypatch.context() as patch:
        patch.setattr(KekFile, "succeed", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            rotate_kek(vault)
    under, _ = vault.store.read_own()
    assert vault.kek.find(under)
    rotate_kek(open_vault())
    with pytest.raises(InputError, match=f"lie under {under}"):
        open_vault().kek.find(under)
    assert not get_file(vault).successor.exists()


def test_keys_made_while_the_kek_changes_are_not_lost(vault: Vault) -> None:
    # as another process would, between this one's look at the KEK and its write
    vault.kek.find(vault.store.read_own()[0])
    rotate_kek(open_vault())
    made = vault.provide_keys(["dora"])
    assert_same_keys(open_vault().provide_keys(["dora"]), made)


@pytest.mark.usefixtures("vault")
@pytest.mark.parametrize("mode", [0o440, 0o404, 0o600, 0o700])
def test_kek_that_others_may_read_or_anybody_change_is_refused(mode: int) -> None:
    Path(KEK).chmod(mode)
    with pytest.raises(InputError, match=f"has mode {mode:03o}; type `chmod 400 .*{KEK}`"):
        open_vault().check()
    Path(KEK).chmod(0o400)
    open_vault().check()


def test_command_for_a_kek_is_quoted_for_the_shell(tmp_path: Path) -> None:
    path = tmp_path / "our keys"
    path.write_text("ab" * 32, encoding="ascii")
    path.chmod(0o640)
    with pytest.raises(InputError, match=re.escape(f"type `chmod 400 '{path}'`")):
        read_kek(path)


@pytest.mark.usefixtures("vault")
@pytest.mark.parametrize("content", ["", "00", "zz" * 32, "ab" * 33])
def test_kek_that_is_none_is_refused(content: str) -> None:
    Path(KEK).chmod(0o600)
    Path(KEK).write_text(content, encoding="ascii")
    Path(KEK).chmod(0o400)
    with pytest.raises(InputError, match="64 hexadecimal digits"):
        open_vault().check()


@pytest.mark.parametrize("named", ["file:", "/etc/kek", "kms:key"])
def test_kek_named_otherwise_is_refused(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEK_VARIABLE, named)
    with pytest.raises(InputError, match="write file:/PATH"):
        open_vault()


@pytest.mark.parametrize("url", ["keys.db", "sqlite:///", "mysql://u:s3cret@h/x", "postgresql://h/x"])
def test_key_store_named_otherwise_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEYS_VARIABLE, url)
    with pytest.raises(InputError, match="is no key store") as refusal:
        open_vault()
    assert "s3cret" not in str(refusal.value)


def test_key_store_that_does_not_answer_is_one_line() -> None:
    store = KeyStore("postgresql+psycopg://user:s3cret@127.0.0.1:1/keys")
    with pytest.raises(AmunError, match="does not answer or refuses") as refusal:
        store.read_own()
    assert "s3cret" not in str(refusal.value)


@pytest.mark.usefixtures("vault")
def test_damaged_key_store_and_one_of_a_later_release_are_refused() -> None:
    with closing(sqlite3.connect(KEYS)) as connection, connection:
        connection.execute("UPDATE vault SET format = 2")
    with pytest.raises(InputError, match="has format 2, this release needs 1"):
        open_vault().check()
    Path(KEYS).write_bytes(b"no database" * 100)
    with pytest.raises(AmunError, match="does not answer or refuses"):
        open_vault().check()


def test_killed_creation_is_ended_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    KekFile(Path(KEK)).draw_first()
    Path(KEYS).touch()
    with pytest.raises(InputError, match="no key store"):
        open_vault().check()
    create_vault().check()
    assert not KekFile(Path(KEK)).successor.exists()


def test_creation_killed_before_its_kek_takes_its_place_is_ended(vault: Vault) -> None:
    keys = vault.provide_keys(NAMES)
    get_file(vault).path.rename(get_file(vault).successor)
    assert_same_keys(create_vault().provide_keys(NAMES), keys)
    assert not get_file(vault).successor.exists()


def test_key_store_takes_no_kek_of_another(vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.setenv(KEK_VARIABLE, f"file:{tmp_path / KEK}")
    with pytest.raises(InputError, match=r"there is a key-encryption key at .* already"):
        create_vault(tmp_path / "other")
    monkeypatch.delenv(KEK_VARIABLE)
    vault.check()


@pytest.mark.parametrize(
    ("variable", "address"), [(KEK_VARIABLE, "file:kek"), (KEYS_VARIABLE, "sqlite:///keys.db"), (KEK_VARIABLE, "kek")]
)
def test_address_that_another_folder_would_read_otherwise(
    variable: str, address: str, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.check()
    monkeypatch.setenv(variable, address)
    with pytest.raises(InputError, match=variable):
        open_vault()


def test_folder_that_takes_no_kek_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    monkeypatch.setenv(KEK_VARIABLE, f"file:{tmp_path / 'file' / 'kek'}")
    with pytest.raises(InputError, match="cannot be written"):
        create_vault()


def test_what_is_deleted_leaves_no_bytes_in_the_file(vault: Vault) -> None:
    subject = vault.provide_keys(["ann"])["ann"].subject
    wrapped = vault.store.read_keys([subject])[1][subject]
    assert wrapped in Path(KEYS).read_bytes()
    with vault.store.write() as run:
        run("DELETE FROM subject_key")
    assert wrapped not in Path(KEYS).read_bytes()


def test_lent_vault_is_the_lenders(vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = vault.provide_keys(NAMES)
    (tmp_path / "inner").mkdir()
    lend_vault(tmp_path, tmp_path / "inner")
    monkeypatch.chdir(tmp_path / "inner")
    assert_same_keys(open_vault().provide_keys(NAMES), keys)
    rotate_kek(open_vault())
    monkeypatch.chdir(tmp_path)
    assert_same_keys(open_vault().provide_keys(NAMES), keys)


class Racing(KeyStore):
    """A key store whose keys another process puts under another KEK, once they are read."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.is_over = False

    def read_keys(self, subjects: Sequence[str]) -> tuple[str, dict[str, bytes]]:
        found = super().read_keys(subjects)
        if not self.is_over:
            self.is_over = True
            rotate_kek(open_vault())
        return found


def test_keys_that_are_rewrapped_while_they_are_read_are_read_again(vault: Vault) -> None:
    keys = {key.subject: key for key in vault.provide_keys(NAMES).values()}
    racing = Racing(f"sqlite:///{KEYS}")
    assert_same_keys(Vault(racing, vault.kek).find_keys(keys), keys)
    assert racing.is_over
