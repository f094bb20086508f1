"""Swap and core dumps as Linux tells of them, on folders that hold what its own hold."""

import os
import resource
from pathlib import Path

import pytest

from amun.core import memory_on_disk
from amun.core.memory_on_disk import list_memory_notes

HEAD = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"


class Machine:
    """What a kernel tells of itself: /proc and /sys of a machine with a disk, and what lies on it."""

    def __init__(self, root: Path) -> None:
        self.proc, self.sys, self.root = root / "proc", root / "sys", root
        (self.proc / "sys/kernel").mkdir(parents=True)
        (self.sys / "class/block").mkdir(parents=True)
        (self.sys / "dev/block").mkdir(parents=True)
        self.set_pattern("")
        self.set_swaps()

    def set_pattern(self, pattern: str) -> None:
        (self.proc / "sys/kernel/core_pattern").write_text(f"{pattern}\n", encoding="utf-8")

    def set_swaps(self, *names: str) -> None:
        rows = [f"{name} partition\t2097148\t\t0\t\t-2\n" for name in names]
        (self.proc / "swaps").write_text(HEAD + "".join(rows), encoding="utf-8")

    def add(self, name: str, uuid: str = "", *on: str, **files: str) -> Path:
        """Adds a block device, which may lie on others."""
        device = self.sys / "class/block" / name
        (device / "slaves").mkdir(parents=True)
        if uuid:
            (device / "dm").mkdir()
            (device / "dm/uuid").write_text(f"{uuid}\n", encoding="utf-8")
        for below in on:
            (device / "slaves" / below).symlink_to(self.sys / "class/block" / below)
        for file, content in files.items():
            (device / file).write_text(f"{content}\n", encoding="utf-8")
        return device

    def tell(self) -> list[str]:
        return list(list_memory_notes(self.proc, self.sys, "linux"))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with a plain disk, an encrypted one, and volumes on both; whose shell forbids core dumps."""
    monkeypatch.setattr(memory_on_disk, "read_inherited_core_limit", lambda: 0)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (0, resource.RLIM_INFINITY))
    machine = Machine(tmp_path)
    machine.add("sda2")
    machine.add("dm-0", "CRYPT-LUKS2-0123-root", "sda2")
    machine.add("dm-1", "LVM-abc-swap", "dm-0")
    machine.add("dm-2", "LVM-def-swap", "sda2")
    machine.add("dm-3", "LVM-ghi-swap", "dm-0", "sda2")
    machine.add("dm-4", "CRYPT-PLAIN-swap", "sda2")
    machine.add("zram0", backing_dev="none")
    machine.add("zram1", backing_dev="/dev/sda2")
    machine.add("zram2", backing_dev="/dev/dm-4")
    return machine


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("/dev/dm-0", None),
        ("/dev/dm-4", None),
        ("/dev/dm-1", None),
        ("/dev/zram0", None),
        ("/dev/zram2", None),
        ("/dev/sda2", "is not encrypted"),
        ("/dev/dm-2", "is not encrypted"),
        # one of the two that it lies on is plain
        ("/dev/dm-3", "is not encrypted"),
        ("/dev/zram1", "is not encrypted"),
        # a container sees the machine's swap, and not its devices
        ("/dev/sdz9", "cannot be told here"),
    ],
)
def test_swap_that_is_encrypted_or_in_memory_is_told_apart(name: str, said: str | None, machine: Machine) -> None:
    machine.set_swaps(name)
    notes = machine.tell()
    assert [(name in note, said is not None and said in note) for note in notes] == [(True, True)] * (said is not None)


def test_swap_file_is_judged_by_the_disk_that_it_lies_on(machine: Machine) -> None:
    # the kernel writes blanks and the like as octal numbers, and no other letter
    file = machine.root / "swap\tfile Zo\u00eb"
    file.write_bytes(b"")
    machine.set_swaps(str(file).replace(" ", "\\040").replace("\t", "\\011"), "/dev/zram0")
    number = file.stat().st_dev
    link = machine.sys / f"dev/block/{os.major(number)}:{os.minor(number)}"
    (note,) = machine.tell()
    assert (str(file) in note, "cannot be told" in note) == (True, True)
    link.symlink_to(machine.sys / "class/block/sda2")
    assert "is not encrypted" in machine.tell()[0]
    link.unlink()
    link.symlink_to(machine.sys / "class/block/dm-1")
    assert machine.tell() == []


@pytest.mark.parametrize(
    ("pattern", "limit", "keeper"),
    [
        ("core", 0, None),
        ("core", 1, None),
        ("core", resource.RLIM_INFINITY, "a file (core)"),
        ("/var/crash/core.%p", 1 << 20, "a file (/var/crash/core.%p)"),
        # it writes no less for a limit of 0
        ("|/usr/share/apport/apport -p%p -s%s", 0, "/usr/share/apport/apport"),
        ("|/usr/share/apport/apport -p%p -s%s", 1, None),
        ("|/usr/lib/systemd/systemd-coredump %P %u", 0, None),
        ("|/usr/lib/systemd/systemd-coredump %P %u", resource.RLIM_INFINITY, "/usr/lib/systemd/systemd-coredump"),
        ("", resource.RLIM_INFINITY, None),
        # Linux takes a pipe to nothing for an error, and dumps nothing
        ("|", resource.RLIM_INFINITY, None),
    ],
)
def test_whoever_keeps_the_memory_of_a_crashed_program_is_named(
    pattern: str, limit: int, keeper: str | None, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_on_disk, "read_inherited_core_limit", lambda: limit)
    machine.set_pattern(pattern)
    assert [f"leaves its memory to {keeper}:" in note for note in machine.tell()] == [True] * (keeper is not None)


def test_where_amun_itself_cannot_forbid_it_that_is_told(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (0, 0))
    machine.set_pattern("|/usr/share/apport/apport -p%p")
    (note,) = machine.tell()
    assert ("apport, `amun` and its stages among them" in note, "do not" in note) == (True, False)


def test_where_nobody_can_look_it_is_said(machine: Machine) -> None:
    (note,) = list_memory_notes(machine.proc, machine.sys, "darwin")
    assert "nothing here can tell" in note
    (machine.proc / "swaps").unlink()
    (note,) = machine.tell()
    assert "swap on this machine may not be encrypted" in note
