"""Programs of Debian's packages, also where nobody may install any: they are unpacked into a folder, once."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from amun.core.locks import hold_lock

INSTALL_SECONDS = 300


def provide_program(program: str, *packages: str) -> str:
    """Returns the path of a program of Debian's; skips the test as `provide` does."""
    return shutil.which(program) or str(provide(program, *packages) / "usr/bin" / program)


def provide(program: str, *packages: str) -> Path:
    """Returns the folder under which a program's packages lie: `/`, or one into which they are unpacked.

    Skips the test where there is neither the program nor Debian's apt-get.
    """
    if shutil.which(program):
        return Path("/")
    folder = Path(tempfile.gettempdir()) / f"amun-tests-{program}-{os.getuid()}"
    # of several test processes one unpacks it, the others wait
    with hold_lock(folder.with_suffix(".lock")):
        if not (folder / "done").exists():
            if shutil.which("apt-get") is None:
                pytest.skip(f"{program} is not installed, and cannot be: that takes Debian's apt-get")
            folder.mkdir(exist_ok=True)
            if not _download(folder, packages):
                # a bare machine has no list of packages yet
                _run(folder, "apt-get", "--quiet", "update")
                assert _download(folder, packages), f"apt-get does not give {' '.join(packages)}"
            for package in folder.glob("*.deb"):
                _run(folder, "dpkg-deb", "--extract", package.name, ".")
            (folder / "done").touch()
    return folder


def _download(folder: Path, packages: tuple[str, ...]) -> bool:
    return _run(folder, "apt-get", "--quiet", "download", *packages) == 0


def _run(folder: Path, *command: str) -> int:
    return subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=INSTALL_SECONDS
    ).returncode
