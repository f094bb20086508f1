"""The site of the pages: it has every page, leads nowhere that is not there, and builds without a warning."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import amun
from docs.site_hooks import list_names, unlink
from tests.workspaces import ROOT

MADE = {"index.md", "reference.md"}  # by the hooks


def list_pages(entry: Any) -> list[str]:
    """Returns the pages below an entry of the navigation."""
    if isinstance(entry, str):
        return [entry]
    parts = entry if isinstance(entry, list) else list(entry.values())
    return [page for part in parts for page in list_pages(part)]


def test_every_page_is_in_the_navigation_once() -> None:
    pages = list_pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    written = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert sorted(pages) == sorted(written | MADE)


def test_every_name_of_the_package_is_in_the_reference() -> None:
    named = re.findall(r"heading: amun\.(\w+)}", list_names())
    assert sorted(named) == sorted(amun.__all__)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("see [the words](concepts.md#words)", "see [the words](concepts.md#words)"),
        ("see [the paper](https://arxiv.org/abs/2503.00917)", "see [the paper](https://arxiv.org/abs/2503.00917)"),
        ("all of [params.yaml](../params.yaml)", "all of params.yaml"),
        ("see [CONTRIBUTING](CONTRIBUTING.md)", "see CONTRIBUTING"),
        ("![a night](demo.svg)", "![a night](demo.svg)"),
    ],
)
def test_what_the_site_does_not_have_is_named_and_not_linked(written: str, shown: str) -> None:
    assert unlink(written, "index.md") == shown


@pytest.mark.long
def test_site_builds(tmp_path: Path) -> None:
    packages = re.findall(r"'(mkdocs[\w.=-]+)'", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert len(packages) == 2
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    install: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--constraint",
        ROOT / "constraints.txt",
        *packages,
    ]
    subprocess.run(install, check=True)
    build: list[str | Path] = [python, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", tmp_path / "site"]
    subprocess.run(build, cwd=ROOT, check=True)
    reference = (tmp_path / "site" / "reference" / "index.html").read_text(encoding="utf-8")
    assert "amun.measure_forgetting" in reference
    assert "<h1" in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
