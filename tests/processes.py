"""Looks at running stages from outside."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

import psutil

from amun.paths import STAGE_LOCK
from tests.workspaces import BIN, Site

PATIENCE_SECONDS = 60.0


def find_stage(root: Path, stage: str) -> int | None:
    """Returns the process of a workspace's stage, if one runs."""
    for process in psutil.process_iter():
        try:
            if process.cmdline()[1:] == ["-m", f"amun.stages.{stage}"] and process.cwd() == str(root):
                return process.pid
        except psutil.Error:
            continue
    return None


def find_computing_stage(root: Path, stage: str) -> int | None:
    """Returns the process of a stage that has begun with its own work: it holds the workspace's stage lock."""
    pid = find_stage(root, stage)
    if pid is None or not (root / STAGE_LOCK).exists():
        return None
    lock = f":{(root / STAGE_LOCK).stat().st_ino} "
    held = (line.split() for line in Path("/proc/locks").read_text(encoding="ascii").splitlines() if lock in line)
    return pid if any(str(pid) in fields for fields in held) else None


def wait_until(is_so: Callable[[], object], what: str) -> None:
    """Waits for something that must come, and fails when it does not."""
    deadline = monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert monotonic() < deadline, f"{what} did not happen within {PATIENCE_SECONDS:.0f} seconds"
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
    wait_until(lambda: find_computing_stage(site.root, stage), "the stage's start")
    dvc.kill()
    dvc.wait()
    wait_until(lambda: find_stage(site.root, stage) is None, "the stage's end")
