"""`amun keys` in a workspace that no wave was run in."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from amun.core.paths import KEK, KEYS
from amun.ledger import Ledger
from amun.vault.kek import KEK_VARIABLE
from amun.vault.vault import open_vault
from flows.cli import main
from tests.flows.cli.test_requests import ledger
from tests.readme import WORKSPACE_FOLDER, fill_in, list_commands, read_variables
from tests.softhsm import LABEL, OBJECT, Token, make_token

__all__ = ["ledger"]


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Token]:
    """An empty token, which the environment names."""
    with make_token(tmp_path / "hsm") as made:
        monkeypatch.setenv(KEK_VARIABLE, made.uri)
        yield made


def type_keys(capsys: pytest.CaptureFixture[str], *command: str) -> tuple[int, str, str]:
    """Returns the exit code of a command, and what it printed."""
    with pytest.raises(SystemExit) as ended:
        main(["keys", *command])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.fixture(autouse=True)
def workspace(ledger: Ledger) -> None:
    """The current folder."""
    assert ledger.name


def test_keys_are_created_shown_and_put_under_another_kek(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("show", "rotate"):
        code, out, err = type_keys(capsys, command)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "`amun keys create` makes one" in err
    code, out, _ = type_keys(capsys, "create")
    assert (code, str(KEYS) in out, str(KEK) in out) == (0, True, True)
    open_vault().provide_keys(["ann", "bob"])
    first = json.loads(type_keys(capsys, "show", "--json")[1])
    assert (first["num_keys"], first["is_rotating"]) == (2, False)
    assert first["kek"] == str(KEK.resolve())
    kek = Path(KEK).read_text(encoding="ascii").strip()
    code, out, _ = type_keys(capsys, "create")
    assert (code, Path(KEK).read_text(encoding="ascii").strip()) == (0, kek)
    code, out, _ = type_keys(capsys, "rotate")
    assert (code, "over 2 keys" in out, first["fingerprint"] in out) == (0, True, False)
    open_vault().destroy_keys(["ann"], [b"a picture's digest", b"another one's"])
    assert "suppression list   1 entry of people, 2 of pictures" in type_keys(capsys, "show")[1]
    Path(KEK).with_name("kek.next").write_text(kek, encoding="ascii")
    out = type_keys(capsys, "show")[1]
    assert "`amun keys rotate` ends it" in out
    assert kek not in out


def test_keys_lie_under_a_token_and_come_to_it_from_a_file(
    token: Token, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name, move = list_commands("erasure.md#a-key-in-a-token")[1:]
    label = LABEL.replace(" ", "%20")
    own = {"LABEL": label, "NAME": OBJECT, "/usr/lib/softhsm/libsofthsm2.so": str(token.module)}
    assert read_variables(fill_in(name, own | {"/PATH": str(token.pin_path)})) == {KEK_VARIABLE: token.uri}
    named = f"pkcs11:token={LABEL};object={OBJECT}"
    code, out, _ = type_keys(capsys, "create")
    assert (code, out.endswith(f"key-encryption key in {named}\n")) == (0, True)
    open_vault().provide_keys(["ann", "bob"])
    first = json.loads(type_keys(capsys, "show", "--json")[1])
    assert (first["kek"], first["num_keys"], first["is_rotating"]) == (named, 2, False)
    code, out, _ = type_keys(capsys, "rotate")
    assert (code, "over 2 keys" in out, first["fingerprint"] in out) == (0, True, False)
    monkeypatch.setenv(KEK_VARIABLE, f"file:{KEK.resolve()}")
    code, out, err = type_keys(capsys, "rotate")
    assert (code, out, err.count("\n")) == (2, "", 1)
    in_file = fill_in(move, {WORKSPACE_FOLDER: shlex.quote(str(Path.cwd()))})
    back = ["rotate", "--from", token.uri]
    for here, command in ((f"file:{KEK.resolve()}", back), (token.uri, shlex.split(in_file)[2:])):
        monkeypatch.setenv(KEK_VARIABLE, here)
        code, out, _ = type_keys(capsys, *command)
        assert (code, "over 2 keys" in out) == (0, True)
        assert Path(KEK).exists() == (here != token.uri)
    code, out, err = type_keys(capsys, "rotate", "--from", "kms:somewhere")
    assert (code, out, "write file:/PATH or pkcs11:" in err) == (2, "", True)
    token.pin_path.write_text("4321", encoding="ascii")
    code, out, err = type_keys(capsys, "show")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "refuses the PIN" in err
