"""Packages of other versions than the pinned ones are named; a build for another device is no other version."""

from importlib.metadata import version
from pathlib import Path

from tasks.tools.versions import CONSTRAINTS, list_other_versions
from tests.workspaces import ROOT


def test_only_what_is_installed_otherwise_is_named(tmp_path: Path) -> None:
    torch = version("torch").partition("+")[0]
    lines = [
        "# all of them",
        "numpy==0.1  # old",
        f"torch=={torch}+cu999",
        f"SQLAlchemy=={version('sqlalchemy')}; python_version > '3'",
        "no-such-package==1.0",
        "Prometheus_Client==0.0",
    ]
    (tmp_path / "pins.txt").write_text("\n".join(lines), encoding="utf-8")
    assert list_other_versions(tmp_path / "pins.txt") == [
        f"numpy {version('numpy')} (0.1)",
        f"prometheus-client {version('prometheus-client')} (0.0)",
    ]


def test_what_these_tests_run_with_is_pinned() -> None:
    assert list_other_versions(ROOT / CONSTRAINTS) == []
