"""What stands in `infra/` fits the code, and systemd understands it."""

import ast
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.readme import read_blocks
from tests.workspaces import ROOT

INFRA = ROOT / "infra"
TOOLS = re.compile(r"(AMUN|DVC|GIT|MLFLOW|PREFECT|DO_NOT)_[A-Z_]+")
# Amazon's libraries read these by themselves
BY_LIBRARIES = {"AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"}


def find_variables(folder: Path) -> set[str]:
    """Returns the names of environment variables that the code under a folder speaks of."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in folder.rglob("*.py")]
    texts = {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    return {text for text in texts if isinstance(text, str) and TOOLS.fullmatch(text)}


def list_explained() -> list[str]:
    """Returns the variables that `amun.env` explains."""
    return re.findall(r"^#([A-Z_]+)=", (INFRA / "amun.env").read_text(encoding="utf-8"), re.MULTILINE)


def test_every_variable_is_explained_once() -> None:
    explained = list_explained()
    used = set[str]().union(*(find_variables(ROOT / package) for package in ("amun", "tasks", "flows")))
    assert sorted(explained) == sorted(used | BY_LIBRARIES)


def test_environment_file_sets_nothing_by_itself() -> None:
    lines = (INFRA / "amun.env").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []


def test_a_shell_reads_the_examples_as_they_stand(tmp_path: Path) -> None:
    text = (INFRA / "amun.env").read_text(encoding="utf-8")
    examples = re.findall(r"^#([A-Z_]+=\S.*)$", text, re.MULTILINE)
    (tmp_path / "all.env").write_text("\n".join(examples) + "\n", encoding="utf-8")
    shown = subprocess.run(
        ["sh", "-c", f"set -a; . {tmp_path}/all.env; env -0"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        check=True,
    )
    read = dict(entry.split("=", 1) for entry in shown.stdout.decode().split("\0") if entry)
    assert shown.stderr == b""
    for name, _, value in (example.partition("=") for example in examples):
        assert read[name] == value.strip('"')


def test_unit_lies_and_works_where_the_page_puts_things() -> None:
    (page,) = read_blocks("operations.md#a-service", "console")
    unit = (INFRA / "amun.service").read_text(encoding="utf-8")
    settings = dict(line.split("=", 1) for line in unit.splitlines() if re.match(r"[A-Z]\w+=", line))
    assert f"git clone YOUR-REPOSITORY {settings['WorkingDirectory']}\n" in page
    assert f"infra/amun.env {settings['EnvironmentFile'].lstrip('-')}\n" in page
    assert f"--home-dir {settings['Environment'].removeprefix('HOME=')} " in page
    assert f"/usr/sbin/nologin {settings['User']}\n" in page
    assert f"journalctl --namespace {settings['LogNamespace']} --unit amun " in page
    for name in re.findall(r"^cp infra/(\S+) /etc/systemd/", page, re.MULTILINE):
        assert (INFRA / name).exists()
    assert settings["ExecStart"].startswith(f"{settings['WorkingDirectory']}/.venv/bin/amun serve")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this machine has no systemd")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    unit = (INFRA / "amun.service").read_text(encoding="utf-8")
    # the program must be there; nothing is started
    shown = re.sub(r"^ExecStart=\S+", f"ExecStart={shutil.which('true')}", unit, flags=re.MULTILINE)
    (tmp_path / "amun.service").write_text(shown, encoding="utf-8")
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "amun.service")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (verified.returncode, verified.stderr) == (0, "")
