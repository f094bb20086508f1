"""Kills commands at chosen points, and tells how they ended."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.workspaces import ROOT, Site

KILLED, FAILED = -9, 1


@contextmanager
def open_trap(site: Site, said: IO[str], *command: str) -> Iterator[Callable[[str, str], int]]:
    """Gives a function that runs an `amun` command, kills it at a point, and returns how it ended."""
    with subprocess.Popen(
        # `-P`: not the workspace's own `tests`
        [sys.executable, "-P", "-m", "tests.die", *command],
        cwd=site.root,
        env=site.environment | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=said,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        orders, answers = process.stdin, process.stdout

        def run_and_die(moment: str, target: str) -> int:
            orders.write(f"{moment} {target}\n")
            orders.flush()
            return int(answers.readline())

        yield run_and_die
        orders.close()


def read_all(file: IO[str]) -> str:
    """Returns what a file holds."""
    return Path(file.name).read_text(encoding="utf-8")
