"""A real PKCS#11 token: Debian's SoftHSM, whose keys no program can take out."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from amun.core.locks import hold_lock

CONFIGURATION_VARIABLE = "SOFTHSM2_CONF"
PACKAGES = ("softhsm2", "softhsm2-common", "libsofthsm2")
INSTALL_SECONDS = 300
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
    root = provide_softhsm()
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
            [root / "usr/bin/softhsm2-util", "--module", module, "--init-token", "--free", "--label", LABEL, *pins],
            check=True,
            capture_output=True,
        )
        label = LABEL.replace(" ", "%20")
        uri = f"pkcs11:token={label};object={OBJECT}?module-path={module}&pin-source=file:{pin_path}"
        yield Token(uri, module, pin_path)


def provide_softhsm() -> Path:
    """Returns the folder under which SoftHSM lies: `/`, or one into which Debian's packages are unpacked once."""
    if shutil.which("softhsm2-util"):
        return Path("/")
    folder = Path(tempfile.gettempdir()) / f"amun-tests-softhsm-{os.getuid()}"
    # of several test processes one unpacks it, the others wait
    with hold_lock(folder.with_suffix(".lock")):
        if not (folder / "done").exists():
            if shutil.which("apt-get") is None:
                pytest.skip("SoftHSM is not installed, and cannot be: that takes Debian's apt-get")
            folder.mkdir(exist_ok=True)
            if not _download(folder):
                # a bare machine has no list of packages yet
                _run(folder, "apt-get", "--quiet", "update")
                assert _download(folder), "apt-get gives no SoftHSM"
            for package in folder.glob("*.deb"):
                _run(folder, "dpkg-deb", "--extract", package.name, ".")
            (folder / "done").touch()
    return folder


def _download(folder: Path) -> bool:
    return _run(folder, "apt-get", "--quiet", "download", *PACKAGES) == 0


def _run(folder: Path, *command: str) -> int:
    return subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=INSTALL_SECONDS
    ).returncode
