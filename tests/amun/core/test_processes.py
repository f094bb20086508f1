"""Processes that are forked: results as without them, and none that outlives whoever started it."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from amun.core.errors import AmunError, InputError
from amun.core.processes import map_forked
from tests.processes import has_ended, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")

STOPPED_IN = """
import os, signal, sys, time
from pathlib import Path
from amun.core.processes import map_forked
from tests.processes import has_ended, wait_until
def work(item):
    (Path(sys.argv[1]) / str(os.getpid())).touch()
    time.sleep(600)
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background ignores it
list(map_forked(work, [1, 2], 2))
"""


@pytest.mark.parametrize("num_processes", [1, 2, 8])
@pytest.mark.parametrize("items", [[], [3], [3, 1, 2]])
def test_results_come_in_the_order_of_the_items(items: list[int], num_processes: int) -> None:
    factor = 10  # of this function alone: it is forked, not pickled
    assert list(map_forked(lambda item: item * factor, items, num_processes)) == [item * factor for item in items]


def test_items_are_taken_at_the_same_time_by_other_processes(tmp_path: Path) -> None:
    def meet(number: int) -> int:
        (tmp_path / str(number)).touch()
        wait_until(lambda: len(list(tmp_path.iterdir())) == 2, "both items are taken")
        return os.getpid()

    found = set(map_forked(meet, range(2), 2))
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
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2, "both processes work")
    workers = [int(path.name) for path in tmp_path.iterdir()]
    if sent == signal.SIGINT:
        os.killpg(program.pid, sent)  # as a terminal does
    else:
        program.kill()
    assert program.wait(60)
    wait_until(lambda: all(map(has_ended, workers)), "both have ended")


DUMPING = """
import resource, sys
resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
try:
    exec(sys.argv[1])
except SystemExit:
    pass
print(resource.getrlimit(resource.RLIMIT_CORE)[0])
"""


@pytest.mark.parametrize(
    "program",
    [
        "from flows.cli import main; main(['version'])",
        "from amun.stages.runner import run_stage; run_stage(print)",
    ],
)
def test_no_program_leaves_its_memory_on_the_disk(program: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", DUMPING, program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    # Linux hands no memory to a program either where the limit is one byte
    assert ended.stdout.splitlines()[-1] == ("1" if resource.getrlimit(resource.RLIMIT_CORE)[1] else "0")
    if resource.getrlimit(resource.RLIMIT_CORE)[1]:
        nothing = subprocess.run([sys.executable, "-c", DUMPING, "pass"], capture_output=True, text=True, check=True)
        assert nothing.stdout.strip() != "0"
