"""The key-encryption key made by a key in a real PKCS#11 token: what files promise, tokens promise, too."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from pkcs11 import Attribute, ObjectClass

from amun.core.errors import AmunError, InputError
from amun.core.keys import store_secret
from amun.core.paths import KEYS
from amun.vault.database import KEYS_VARIABLE
from amun.vault.kek import KEK_VARIABLE, KekFile, fingerprint_kek, name_kek
from amun.vault.kek_token import KekToken
from amun.vault.key_store import KeyStore
from amun.vault.rotation import check_rotation, move_kek, rotate_kek
from amun.vault.vault import Vault, create_vault, open_vault
from tests.amun.ledger.conftest import create_postgres_schema
from tests.amun.sealing import SECRET
from tests.amun.vault.test_vault import NAMES, assert_same_keys, kill_in_vault, kill_rotation
from tests.postgres import run_postgres
from tests.softhsm import LABEL, OBJECT, PIN, Token, make_token


@pytest.fixture
def token(tmp_path: Path) -> Iterator[Token]:
    """An empty token."""
    with make_token(tmp_path / "hsm") as made:
        yield made


@pytest.fixture
def vault(token: Token, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    """The vault of the current folder, whose key-encryption key is the token's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(KEK_VARIABLE, token.uri)
    store_secret(tmp_path, SECRET)
    return create_vault()


def read_labels(token: Token) -> list[str]:
    """Returns the labels of all that is in the token, once it is sure that no key can be taken out."""
    library = pkcs11.lib(str(token.module))
    try:
        with library.get_token(token_label=LABEL).open(user_pin=PIN) as session:
            objects = list(session.get_objects())
            for key in objects:
                assert key[Attribute.CLASS] == ObjectClass.SECRET_KEY
                assert key[Attribute.NEVER_EXTRACTABLE]
                with pytest.raises(pkcs11.AttributeSensitive):
                    key[Attribute.VALUE]
            return sorted(str(key[Attribute.LABEL]) for key in objects)
    finally:
        library.finalize()


def test_keys_lie_under_what_the_token_makes_and_nothing_of_it_lies_anywhere(
    vault: Vault, token: Token, tmp_path: Path
) -> None:
    keys = vault.provide_keys(NAMES)
    assert_same_keys(open_vault().provide_keys(NAMES), keys)
    assert read_labels(token) == [OBJECT]
    shown = vault.describe()
    assert (shown.kek, shown.is_rotating) == (f"pkcs11:token={LABEL};object={OBJECT}", False)
    kek = vault.kek.find(shown.fingerprint)
    assert fingerprint_kek(kek) == shown.fingerprint
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not [content for content in files if kek in content or kek.hex().encode() in content]
    create_vault()
    assert vault.store.read_own()[0] == shown.fingerprint


def test_rotation_keeps_every_key_and_destroys_the_tokens_old_one(vault: Vault, token: Token, tmp_path: Path) -> None:
    before, own = vault.provide_keys(NAMES), vault.own_key
    fingerprint, _ = vault.store.read_own()
    shutil.copyfile(KEYS, tmp_path / "backup")
    rotate_kek(vault)
    assert_same_keys(open_vault().provide_keys(NAMES), before)
    assert open_vault().own_key == own
    assert read_labels(token) == [OBJECT]
    # neither a new look nor the vault that has known it
    for kek in (vault.kek, open_vault().kek):
        with pytest.raises(InputError, match=f"lie under {fingerprint}"):
            kek.find(fingerprint)
    shutil.copyfile(tmp_path / "backup", KEYS)
    with pytest.raises(InputError, match="name the token in which `amun keys rotate` ran last"):
        open_vault().check()


@pytest.mark.usefixtures("vault")
def test_rotation_killed_at_any_line_is_ended_by_the_next(token: Token) -> None:
    before, own_key = open_vault().provide_keys(NAMES), open_vault().own_key
    fingerprint, _ = open_vault().store.read_own()
    seen = set()
    # some of all lines, and each of those that destroy a key
    for num_lines, function in [*((num, "") for num in range(0, 300, 25)), *((num, "succeed") for num in range(9))]:
        assert kill_rotation(num_lines, function)
        seen.add(tuple(read_labels(token)))
        assert_same_keys(open_vault().provide_keys(NAMES), before)
        rotate_kek(open_vault())
        assert_same_keys(open_vault().provide_keys(NAMES), before)
        summary, killed = open_vault().describe(), fingerprint
        fingerprint = summary.fingerprint
        assert (fingerprint != killed, summary.is_rotating) == (True, False)
        assert read_labels(token) == [OBJECT]
    assert not kill_rotation(1000)
    # before the successor is drawn, beside it, and where the old one is destroyed
    assert seen == {(OBJECT,), (OBJECT, f"{OBJECT}.next"), (f"{OBJECT}.next",)}
    assert open_vault().own_key == own_key


def test_token_is_asked_once_for_each_opening_and_not_for_each_key(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.provide_keys([f"person {number}" for number in range(50)])
    num_asked = 0
    make_kek = vars(__import__("amun.vault.kek_token", fromlist=["_"]))["_make_kek"]

    def count(key: Any) -> bytes:
        nonlocal num_asked
        num_asked += 1
        kek: bytes = make_kek(key)
        return kek

    monkeypatch.setattr("amun.vault.kek_token._make_kek", count)
    opened = open_vault()
    assert len(opened.find_names([f"person {number}" for number in range(50)])) == 50
    opened.provide_keys(["person 1", "somebody new"])
    opened.check()
    assert num_asked == 1


def test_creation_killed_before_its_key_takes_its_place_is_ended(
    token: Token, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(KEK_VARIABLE, token.uri)
    store_secret(tmp_path, SECRET)
    open_vault().kek.draw_first()
    with pytest.raises(InputError, match="no key store"):
        open_vault().check()
    with monkeypatch.context() as patch:
        patch.setattr(KekToken, "succeed", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            create_vault()
    assert read_labels(token) == [f"{OBJECT}.next"]
    keys = open_vault().provide_keys(NAMES)
    assert_same_keys(create_vault().provide_keys(NAMES), keys)
    assert read_labels(token) == [OBJECT]


@pytest.mark.usefixtures("vault")
def test_move_from_a_file_to_a_token_and_back_killed_at_any_line_is_ended_by_the_next(
    token: Token, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, file = open_vault().provide_keys(NAMES), KekFile(tmp_path / "kek")
    before, after = token.uri, f"file:{file.path}"

    def move(vault: Vault) -> None:
        move_kek(vault, name_kek(before))

    # some of all lines, and each of those that decide what is destroyed
    for function, step, least in (("", 60, 300), ("move_kek", 1, 10)):
        num_lines = 0
        monkeypatch.setenv(KEK_VARIABLE, after)
        while kill_in_vault(num_lines, function, move):
            move(open_vault())
            assert_same_keys(open_vault().provide_keys(NAMES), keys)
            is_file = after != token.uri
            assert (read_labels(token), file.path.exists()) == ([] if is_file else [OBJECT], is_file)
            assert not file.successor.exists()
            before, after = after, before
            monkeypatch.setenv(KEK_VARIABLE, after)
            num_lines += step
        assert num_lines >= least
        before, after = after, before
    if before != token.uri:
        monkeypatch.setenv(KEK_VARIABLE, token.uri)
        move_kek(open_vault(), file)
    # said again, and by somebody who names another key store's
    move_kek(open_vault(), file)
    assert_same_keys(open_vault().provide_keys(NAMES), keys)
    other = KekFile(tmp_path / "other")
    other.draw_first()
    other.succeed()
    with pytest.raises(InputError, match=r"in pkcs11:.* already, and none that it has replaced in .*other; "):
        move_kek(open_vault(), other)
    assert other.path.exists()
    with pytest.raises(InputError, match="is to stay in pkcs11:"):
        move_kek(open_vault(), name_kek(token.uri))
    monkeypatch.setenv(KEK_VARIABLE, f"file:{other.path}")
    with pytest.raises(InputError, match=r"there is a key-encryption key at .*other already"):
        move_kek(open_vault(), name_kek(token.uri))


def test_key_store_takes_no_key_of_another(vault: Vault, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match=r"there is a key-encryption key pkcs11:.* already, and no key store of it"):
        create_vault(tmp_path / "other")
    vault.check()


def test_key_that_the_token_has_lost_is_told(vault: Vault, token: Token) -> None:
    fingerprint, _ = vault.store.read_own()
    library = pkcs11.lib(str(token.module))
    with library.get_token(token_label=LABEL).open(rw=True, user_pin=PIN) as session:
        for key in session.get_objects():
            key.destroy()
    library.finalize()
    told = f"object={OBJECT} is not in the token, and the subjects' keys lie under {fingerprint}: "
    for ask in (Vault.check, rotate_kek, check_rotation):
        with pytest.raises(InputError, match=told):
            ask(open_vault())
    assert read_labels(token) == []


def change_pin(token: Token, content: str = "", mode: int = 0o600) -> str:
    token.pin_path.chmod(0o600)
    token.pin_path.write_text(content, encoding="utf-8")
    token.pin_path.chmod(mode)
    return token.uri


FAULTS: dict[str, Callable[[Token], str]] = {
    "refuses the PIN in .*; it is locked after some wrong ones": lambda token: change_pin(token, "4321"),
    "there is no PIN in ": lambda token: change_pin(token, "\n"),
    "has mode 640; type `chmod 600 ": lambda token: change_pin(token, PIN, 0o640),
    "the PIN in .*no-file cannot be read: No such file": lambda token: f"{token.uri}-no-file",
    "the token 'another' is not there; `pkcs11-tool": lambda token: token.uri.replace("our%20token", "another"),
    "the module .*none.so cannot be loaded: ": lambda token: token.uri.replace("libsofthsm2.so", "none.so"),
    "pin-value is not taken": lambda token: f"{token.uri}&pin-value=9876",
    "'id' is not known there": lambda token: token.uri.replace("object", "id"),
    "object is missing": lambda token: token.uri.replace(f";object={OBJECT}", ""),
    "module-path is no full path": lambda token: token.uri.replace("module-path=/", "module-path="),
}


@pytest.mark.parametrize("words", FAULTS)
def test_what_is_wrong_with_a_token_is_one_line(
    words: str, token: Token, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.provide_keys(NAMES)
    monkeypatch.setenv(KEK_VARIABLE, FAULTS[words](token))
    for _ in range(2):
        with pytest.raises(AmunError, match=f"^{KEK_VARIABLE}: .*{words}") as refusal:
            open_vault().check()
    assert "\n" not in str(refusal.value)
    assert "9876" not in str(refusal.value)
    change_pin(token, PIN)
    monkeypatch.setenv(KEK_VARIABLE, token.uri)
    open_vault().check()


def test_without_the_package_it_is_named(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(vault.kek, KekToken)
    monkeypatch.setitem(__import__("sys").modules, "pkcs11", None)
    with pytest.raises(InputError, match=r"^AMUN_KEK: .* takes the package python-pkcs11; type `pip install .*pkcs11"):
        open_vault()


def test_machines_that_share_a_key_store_change_its_key_one_after_the_other(
    token: Token, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(KEK_VARIABLE, token.uri)
    store_secret(tmp_path, SECRET)
    with run_postgres() as url:
        monkeypatch.setenv(KEYS_VARIABLE, create_postgres_schema(url, "tokens"))
        keys = create_vault().provide_keys(NAMES)
        children = []
        for number in range(4):
            if not (child := os.fork()):
                try:
                    for _ in range(3):
                        rotate_kek(open_vault())
                        open_vault().provide_keys([f"person {number}"])
                    os._exit(0)
                finally:
                    os._exit(1)  # whatever was raised, it is no second pytest
            children.append(child)
        assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
        assert_same_keys(open_vault().provide_keys(NAMES), keys)
        assert open_vault().describe().num_keys == len(NAMES) + 4
        assert isinstance(open_vault().store, KeyStore)
    assert read_labels(token) == [OBJECT]
