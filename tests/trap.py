"""Kills commands at chosen points, and tells how they ended."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import IO

from tests.warm import find_process, pick_early
from tests.warm_order import TRAP
from tests.workspaces import ROOT, Site

KILLED, FAILED = -9, 1


class Trap:
    """Runs a command again and again, killed at a point each time.

    Attributes:
        pid: of the run that began last; None before the first.
    """

    def __init__(self, orders: IO[str], answers: IO[str]) -> None:
        """Takes where the program that kills is given its orders, and where it answers."""
        self._orders, self._answers = orders, answers
        self.pid: int | None = None

    def __call__(self, moment: str, target: str) -> int:
        """Runs the command, kills it at this point, and returns how it ended: an exit code, or minus a signal."""
        self._orders.write(f"{moment} {target}\n")
        self._orders.flush()
        self.pid = int(self._answers.readline())
        return int(self._answers.readline())


@contextmanager
def open_trap(site: Site, said: IO[str], *command: str) -> Iterator[Trap]:
    """Gives what runs an `amun` command, and kills it.

    Where a process is kept that has imported the libraries, the command and its stages are copies of it.
    """
    orders_end, orders_begin = os.pipe()
    answers_end, answers_begin = os.pipe()
    with _run(site, [orders_end, answers_begin, said.fileno()], command):
        os.close(orders_end)
        os.close(answers_begin)
        with os.fdopen(orders_begin, "w") as orders, os.fdopen(answers_end) as answers:
            yield Trap(orders, answers)


@contextmanager
def _run(site: Site, files: list[int], command: tuple[str, ...]) -> Iterator[None]:
    """Runs the trap with these for stdin, stdout and stderr, until it ends by itself: there are no more orders."""
    warm = find_process()
    environment = site.environment | {"PYTHONPATH": str(ROOT)}
    if warm is not None and warm.early == pick_early(site.variables):
        files = [os.dup(file) for file in files]
        thread = Thread(target=warm.run_trap, args=(command, site.root, environment, files))
        thread.start()
        yield
        thread.join()
        for file in files:
            os.close(file)
        return
    # `-P`: not the workspace's own `tests`
    called = [sys.executable, "-P", "-m", TRAP, *command]
    with subprocess.Popen(called, cwd=site.root, env=environment, stdin=files[0], stdout=files[1], stderr=files[2]):
        yield


def read_all(file: IO[str]) -> str:
    """Returns what a file holds."""
    return Path(file.name).read_text(encoding="utf-8")
