"""Looks at running stages from outside."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

import psutil

from amun.core.paths import STAGE_LOCK
from tests import warm_order
from tests.workspaces import BIN, Site

PATIENCE_SECONDS = 60.0


def find_computing_stage(root: Path, stage: str, parent: int) -> int | None:
    """Returns the process of a stage that `parent` has started, once it does its own work: it holds the stage lock.

    Where stages run warm the one that was started has another do the work.
    """
    for process in psutil.Process(parent).children(recursive=True):
        try:
            called = process.cmdline()
        except psutil.NoSuchProcess:
            continue
        if called[-2:] != ["-m", f"amun.stages.{stage}"]:
            continue
        holders = list_holders(root / STAGE_LOCK)
        if process.pid in holders:
            return process.pid
        if warm_order.__file__ in called and holders:
            return holders[0]
    return None


def list_holders(lock: Path) -> list[int]:
    """Returns the processes that hold a file lock; one that waits for it is listed with an arrow."""
    if not lock.exists():
        return []
    listed = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    fields = [line.split() for line in listed if "->" not in line and f":{lock.stat().st_ino} " in line]
    return [int(field[4]) for field in fields]


def has_ended(pid: int) -> bool:
    """Tells whether a process is gone, or dead and not yet waited for."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until(is_so: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Waits for something that must come, and fails when it does not."""
    deadline = monotonic() + seconds
    while not is_so():
        assert monotonic() < deadline, f"{what} did not happen within {seconds:.0f} seconds"
        sleep(0.02)


def kill_dvc(site: Site, stage: str) -> None:
    """Kills a `dvc repro` by hand while its stage computes, and waits for the stage's own end."""
    dvc = subprocess.Popen(
        [str(BIN / "dvc"), "repro", "-s", "-f", stage],
        cwd=site.root,
        env=site.environment | {"PATH": f"{BIN}{os.pathsep}{site.environment['PATH']}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: find_computing_stage(site.root, stage, dvc.pid), "the stage's start")
    orphan = find_computing_stage(site.root, stage, dvc.pid)
    assert orphan is not None, "the stage ended before it could be made an orphan"
    dvc.kill()
    dvc.wait()
    wait_until(lambda: has_ended(orphan), "the orphan's end")
