"""Memory that is free: the machine's, or what limits of a container or a service leave."""

from pathlib import Path

import psutil
import pytest

from amun.core.memory import count_free_memory

MIB = 2**20
AVAILABLE = 1000 * MIB
OWN_GROUP = Path("own_group")


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, on a machine that has 1000 MiB."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": AVAILABLE}))
    return tmp_path


def write_group(folder: Path, limit: str, used: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n", encoding="ascii")
    (folder / "memory.current").write_text(f"{used}\n", encoding="ascii")
    stat = f"anon {40 * MIB}\nactive_file {5 * MIB}\ninactive_file {10 * MIB}\n"
    (folder / "memory.stat").write_text(stat, encoding="ascii")


def join_group(path: str) -> None:
    OWN_GROUP.write_text(f"4:memory:/elsewhere\n0::{path}\n", encoding="utf-8")


def test_a_container_has_what_its_limit_leaves(root: Path) -> None:
    join_group("/")
    write_group(root / "groups", str(100 * MIB), 70 * MIB)
    assert count_free_memory(root / "groups", OWN_GROUP) == 45 * MIB
    write_group(root / "groups", str(100 * MIB), 120 * MIB)
    assert count_free_memory(root / "groups", OWN_GROUP) == 0


@pytest.mark.parametrize(
    ("of_slice", "of_service", "left"),
    [("max", 200, 145), (100, "max", 45), (300, 200, 145), (100, 200, 45), ("max", "max", 1000), (2000, 2000, 1000)],
)
def test_a_service_has_what_the_narrowest_limit_above_it_leaves(
    root: Path, of_slice: str | int, of_service: str | int, left: int
) -> None:
    join_group("/system.slice/amun.service")
    for folder, limit in (("system.slice", of_slice), ("system.slice/amun.service", of_service)):
        write_group(root / "groups" / folder, limit if isinstance(limit, str) else str(limit * MIB), 70 * MIB)
    write_group(root / "groups/system.slice/other.service", str(MIB), 0)
    write_group(root, str(MIB), 0)  # above all groups
    assert count_free_memory(root / "groups", OWN_GROUP) == left * MIB


@pytest.mark.parametrize("limit", ["max", None, "nonsense"])
def test_without_a_limit_the_machine_counts(root: Path, limit: str | None) -> None:
    join_group("/")
    if limit is not None:
        write_group(root / "groups", limit, 70 * MIB)
    assert count_free_memory(root / "groups", OWN_GROUP) == AVAILABLE


def test_outside_linux_the_machine_counts(root: Path) -> None:
    write_group(root / "groups", str(100 * MIB), 70 * MIB)
    assert count_free_memory(root / "groups", OWN_GROUP) == AVAILABLE
