"""Where the system may write a program's memory to the disk, with keys and pictures in it: swap, and core dumps.

Sources: proc(5) and swapon(8) for /proc/swaps, core(5) for core_pattern, dm-crypt's names in Linux' device mapper.
"""

import os
import re
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

from amun.core.processes import read_inherited_core_limit

_PROC, _SYS = Path("/proc"), Path("/sys")
_PAGE = 4096  # bytes; the kernel writes no core file that may not be longer
_REFUSES = "systemd-coredump"  # it alone keeps to the limit of the program that has crashed


def list_memory_notes(proc: Path = _PROC, sys_folder: Path = _SYS, platform: str = sys.platform) -> Iterator[str]:
    """Yields a line for each way in which memory may come to the disk in clear: what, and what to do.

    Args:
        proc: where the kernel tells of processes and swap.
        sys_folder: where it tells of devices.
        platform: as Python names the system; on any but Linux it is told that nobody can look.
    """
    if platform != "linux":
        yield (
            "nothing here can tell whether this system's swap is encrypted, nor where it keeps core dumps: see to "
            "both, for memory has keys and pictures"
        )
        return
    for name, is_encrypted in _list_swaps(proc, sys_folder):
        state = "is not encrypted" if is_encrypted is False else "may not be encrypted, which cannot be told here"
        yield (
            f"swap on {name} {state}: memory with keys and pictures may stay there after an erasure; encrypt it "
            "(dm-crypt), or turn it off (`swapoff`)"
        )
    if (kept_by := _find_core_keeper(proc)) is not None:
        yield _tell_keeper(kept_by)


def _tell_keeper(kept_by: str) -> str:
    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        # nobody but root may set it to the byte that keeps memory from a program
        return (
            f"a program that crashes here leaves its memory to {kept_by}, `amun` and its stages among them, for the "
            "hard limit of core files is 0 and does not bind it: have the limit raised to 1 byte (LimitCORE=1 of a "
            "service), or turn that off in the system's own setting"
        )
    return (
        f"a program that crashes here leaves its memory to {kept_by}: `amun` and its stages do not, but what you "
        "start beside them may (python, dvc, mlflow); turn that off (`prlimit --pid $$ --core=1:` in your shell, or "
        "the system's own setting)"
    )


def _list_swaps(proc: Path, sys_folder: Path) -> Iterator[tuple[str, bool | None]]:
    """Yields each swap on a disk that is not known to be encrypted: its name, and False, or None where nothing tells.

    Swap in memory (zram) comes to no disk, unless it has one behind it.
    """
    try:
        lines = (proc / "swaps").read_bytes().splitlines()[1:]
    except OSError:
        yield "this machine", None
        return
    for line in lines:
        # blanks in a name stand as \040, all else as it is
        name = os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), line.split()[0]))
        is_encrypted = _judge_swap(sys_folder, Path(name))
        if not is_encrypted:
            yield name, is_encrypted


def _judge_swap(sys_folder: Path, path: Path) -> bool | None:
    device = sys_folder / "class/block" / path.name
    if path.parent != Path("/dev"):  # a file: on whatever its file system lies
        try:
            number = path.stat().st_dev
        except OSError:
            return None
        device = sys_folder / f"dev/block/{os.major(number)}:{os.minor(number)}"
    return _is_encrypted(device)


def _is_encrypted(device: Path) -> bool | None:
    """Tells whether all that is written to a block device is encrypted; None where the kernel does not show it."""
    if not device.exists():
        return None
    backing = _read(device / "backing_dev")  # of zram alone
    if backing:
        return True if backing == "none" else _is_encrypted(device.parent / Path(backing).name)
    if _read(device / "dm/uuid").startswith("CRYPT-"):
        return True
    # a logical volume, or an array, lies on others
    below = [_is_encrypted(path) for path in sorted((device / "slaves").glob("*"))]
    if below and all(below):
        return True
    return None if None in below else False


def _find_core_keeper(proc: Path) -> str | None:
    """Returns where the memory of a crashed program goes that has this shell's limits; None where it goes nowhere."""
    pattern, limit = _read(proc / "sys/kernel/core_pattern"), read_inherited_core_limit()
    if pattern in ("", "|") or limit == 1:  # which the kernel takes for no dump at all, also to a program
        return None
    if pattern.startswith("|"):
        program = pattern[1:].split()[0]
        return None if limit == 0 and program.endswith(_REFUSES) else program
    return f"a file ({pattern})" if limit >= _PAGE or limit == resource.RLIM_INFINITY else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
