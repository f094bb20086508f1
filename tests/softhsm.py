"""A real PKCS#11 token: Debian's SoftHSM, whose keys no program can take out."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.debian import provide, provide_program

CONFIGURATION_VARIABLE = "SOFTHSM2_CONF"
PACKAGES = ("softhsm2", "softhsm2-common", "libsofthsm2")
LABEL, OBJECT, PIN = "our token", "kek", "1234"


@dataclass(frozen=True)
class Token:
    """A token.

    Attributes:
        uri: names the key-encryption key in it.
        module: the library that speaks to it.
        pin_path: the file that has the PIN.
    """

    uri: str
    module: Path
    pin_path: Path


@contextmanager
def make_token(folder: Path) -> Iterator[Token]:
    """Gives an empty token, whose data lie in a folder, for as long as the environment names them."""
    root, program = provide("softhsm2-util", *PACKAGES), provide_program("softhsm2-util", *PACKAGES)
    module, pin_path, tokens = root / "usr/lib/softhsm/libsofthsm2.so", folder / "pin", folder / "tokens"
    tokens.mkdir(parents=True)
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {tokens}\nlog.level = ERROR\n", encoding="utf-8")
    pin_path.write_text(f"{PIN}\n", encoding="ascii")
    pin_path.chmod(0o600)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CONFIGURATION_VARIABLE, str(configuration))
        pins = ("--so-pin", "12345678", "--pin", PIN)
        subprocess.run(
            [program, "--module", module, "--init-token", "--free", "--label", LABEL, *pins],
            check=True,
            capture_output=True,
        )
        label = LABEL.replace(" ", "%20")
        uri = f"pkcs11:token={label};object={OBJECT}?module-path={module}&pin-source=file:{pin_path}"
        yield Token(uri, module, pin_path)
