"""What the pages have installed beside the project is there, at the releases that `constraints.txt` names."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from flows.demo import ensure_clone
from tests.readme import list_commands
from tests.workspaces import ROOT

EXTRAS = {
    "python-pkcs11": list_commands("erasure.md#a-key-in-a-token")[0],
    "ray": list_commands("scale.md#on-a-ray-cluster")[0],
}


@pytest.mark.long
@pytest.mark.parametrize("package", EXTRAS)
def test_pip_finds_what_the_page_has_installed(package: str, tmp_path: Path) -> None:
    ensure_clone(ROOT, tmp_path / "clone")
    program, *arguments = shlex.split(EXTRAS[package])
    assert program == "pip"
    # all that pip does, but for the last step
    said = subprocess.run(
        [sys.executable, "-m", "pip", *arguments, "--dry-run"],
        cwd=tmp_path / "clone",
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    (pin,) = re.findall(rf"^{package}==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    found = re.findall(rf"(?:already satisfied: {package}.*\({pin}\)|Would install .*\b{package}-{pin}\b)", said.stdout)
    assert found, said.stdout
