"""Processes that are forked: results as without them, and none that outlives whoever started it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from amun.core.errors import AmunError, InputError
from amun.core.processes import map_forked

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")

STOPPED_IN = """
import os, sys, time
from pathlib import Path
from amun.core.processes import map_forked
def work(item):
    (Path(sys.argv[1]) / str(os.getpid())).touch()
    time.sleep(600)
list(map_forked(work, [1, 2], 2))
"""


@pytest.mark.parametrize("num_processes", [1, 2, 8])
@pytest.mark.parametrize("items", [[], [3], [3, 1, 2]])
def test_results_come_in_the_order_of_the_items(items: list[int], num_processes: int) -> None:
    factor = 10  # of this function alone: it is forked, not pickled
    assert list(map_forked(lambda item: item * factor, items, num_processes)) == [item * factor for item in items]


def test_the_processes_are_others_and_at_most_so_many() -> None:
    found = set(map_forked(tell_process, range(8), 2))
    assert os.getpid() not in found
    assert len(found) == 2


@pytest.mark.parametrize(
    ("fail", "kind", "line"),
    [
        (lambda _: (_ for _ in ()).throw(InputError("data.root: not there")), InputError, "data.root: not there"),
        (lambda _: os.kill(os.getpid(), signal.SIGKILL), AmunError, "one of 2 processes died"),
    ],
)
def test_whatever_fails_there_fails_here(fail: Callable[[int], None], kind: type[AmunError], line: str) -> None:
    with pytest.raises(kind, match=line):
        list(map_forked(fail, [1, 2, 3], 2))


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_nothing_goes_on_without_whoever_started_it(tmp_path: Path, sent: signal.Signals) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", STOPPED_IN, str(tmp_path)], stderr=subprocess.DEVNULL, start_new_session=True
    )
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    workers = [int(path.name) for path in tmp_path.iterdir()]
    if sent == signal.SIGINT:
        os.killpg(program.pid, sent)  # as a terminal does
    else:
        program.kill()
    assert program.wait(60)
    wait_until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))


def tell_process(_: int) -> int:
    """Returns which process this is, after long enough for another to take the next item."""
    time.sleep(0.05)
    return os.getpid()


def wait_until(is_so: Callable[[], bool]) -> None:
    """Waits until something is so, a minute at most."""
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)
