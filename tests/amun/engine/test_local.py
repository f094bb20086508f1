"""Shards in copies of this process: as without them, whatever dies on the way; none is computed twice."""

import errno
import operator
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from amun.core.errors import AmunError, InputError
from amun.engine import workers
from amun.engine.local import LocalEngine
from amun.engine.shards import MAX_KILLS, Shard, compute_shards, map_shards, name_shard
from amun.engine.workers import Start
from tests.amun.engine.sums import read_variable, set_variable
from tests.processes import has_ended, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")

STOPPED_IN = """
import os, signal, sys, time
from pathlib import Path
from amun.engine.local import LocalEngine
from amun.engine.shards import Shard
def work(folder, number):
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(600)
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background ignores it
list(LocalEngine(2).run(work, [Shard(str(number), "", number) for number in range(2)], sys.argv[1]))
"""
STARTING = """
import os, signal
from multiprocessing import util
from amun.engine.local import LocalEngine
from amun.engine.shards import Shard
from tests.amun.engine.sums import add_length
spawn, killed = util.spawnv_passfds, []
def spawn_and_kill(path, arguments, descriptors):
    pid = spawn(path, arguments, descriptors)
    if not killed and b"spawn_main" in b" ".join(map(os.fsencode, arguments)):
        killed.append(pid)
        os.kill(pid, signal.SIGKILL)
    return pid
util.spawnv_passfds = spawn_and_kill
if __name__ == "__main__":
    shards = [Shard(str(number), "", number) for number in range(5, 8)]
    engine = LocalEngine(2, "spawn")
    print(*dict(sorted(engine.run(add_length, shards, bytes(300_000)))).values(), len(killed))
"""
NOT_KEPT_IN = """
import errno, sys
from amun.engine.local import LocalEngine
from amun.engine.shards import Shard, map_shards
class Full:
    def read(self, name):
        return None
    def keep(self, name, result):
        raise OSError(int(sys.argv[1]), "full")
shards = [Shard(str(number), f"number {number}", number) for number in range(4)]
list(map_shards(lambda _, number: number, shards, None, LocalEngine(2), Full()))
"""


class Folder:
    """Keeps whole numbers, a file for each shard."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> int | None:
        path = self.folder / name
        return int(path.read_text()) if path.exists() else None

    def keep(self, name: str, result: int) -> None:
        (self.folder / name).write_text(str(result))


def make_shards(numbers: Sequence[int]) -> list[Shard[int]]:
    return [Shard(name_shard("number", number), f"number {number}", number) for number in numbers]


@pytest.mark.parametrize("num_processes", [1, 2, 8])
@pytest.mark.parametrize("numbers", [[], [3], [3, 1, 2], list(range(40))])
def test_results_come_in_the_order_of_the_shards(numbers: list[int], num_processes: int) -> None:
    factor = 10  # of this function alone: it is forked, not pickled
    found = map_shards(lambda by, number: by * factor * number, make_shards(numbers), 2, LocalEngine(num_processes))
    assert list(found) == [20 * number for number in numbers]


def test_shards_are_computed_at_the_same_time_by_other_processes(tmp_path: Path) -> None:
    def meet(folder: Path, number: int) -> int:
        (folder / str(number)).touch()
        wait_until(lambda: len(list(folder.iterdir())) == 2, "both are computed")
        return os.getpid()

    found = set(map_shards(meet, make_shards([0, 1]), tmp_path, LocalEngine(2)))
    assert os.getpid() not in found
    assert len(found) == 2


@pytest.mark.parametrize("engine", [LocalEngine(), LocalEngine(2), LocalEngine(3)])
def test_shard_begins_once_what_it_needs_is_kept(engine: LocalEngine, tmp_path: Path) -> None:
    """The first of those that may begin is taken first; a name that is no shard's is not waited for."""

    def read_needed(folder: Path, needed: tuple[int, ...]) -> int:
        return sum(int((folder / str(number)).read_text()) for number in needed) + 1

    needs = [(2, 3), (), (1,), (2,), ()]
    shards = [
        Shard(str(number), f"number {number}", needed, frozenset({"gone", *map(str, needed)}))
        for number, needed in enumerate(needs)
    ]
    done = [place for place, _ in compute_shards(read_needed, shards, tmp_path, engine, Folder(tmp_path))]
    assert [int((tmp_path / str(number)).read_text()) for number in range(5)] == [6, 1, 2, 3, 1]
    if engine.num_processes == 1:
        assert done == [1, 2, 3, 0, 4]


@pytest.mark.parametrize("num_processes", [1, 2])
def test_shards_that_wait_for_each_other_are_an_error(num_processes: int) -> None:
    ring = [Shard(name, f"number {name}", 0, frozenset(need)) for name, need in ("ab", "bc", "ca")]
    other = Shard("d", "number d", 1)
    found = map_shards(lambda _, number: number, [other, *ring], None, LocalEngine(num_processes))
    assert next(found) == 1
    with pytest.raises(ValueError, match=r"^number a waits for shards that wait for it$"):
        next(found)


@pytest.mark.parametrize("engine", [LocalEngine(1, "spawn"), LocalEngine(2, "spawn"), LocalEngine(2)])
def test_processes_are_prepared_before_they_compute(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREPARED", "no")
    prepared = replace(engine, prepare=partial(set_variable, "PREPARED", "yes"))
    assert list(map_shards(read_variable, make_shards(range(3)), "PREPARED", prepared)) == ["yes"] * 3


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_what_a_process_cannot_begin_with_is_told_as_it_is(start: Start) -> None:
    engine = LocalEngine(2, start, partial(int, "no number"))
    with pytest.raises(ValueError, match=r"invalid literal for int\(\) with base 10: 'no number'$"):
        list(map_shards(operator.add, make_shards(range(3)), 5, engine))


def test_new_process_that_dies_while_it_starts_is_another_ones_work() -> None:
    """It had much to be sent, which nobody takes any more."""
    run = subprocess.run([sys.executable, "-c", STARTING], capture_output=True, text=True, timeout=120, check=False)
    assert run.stdout.split() == ["300005", "300006", "300007", "1"], run.stderr


def test_process_that_dies_costs_its_shard_alone(tmp_path: Path) -> None:
    def die_once(folder: Path, number: int) -> int:
        with (folder / "calls").open("a") as calls:
            calls.write(f"{number}\n")
        if number == 3 and not (folder / "died").exists():
            (folder / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return number * number

    found = list(map_shards(die_once, make_shards(range(6)), tmp_path, LocalEngine(2)))
    assert found == [0, 1, 4, 9, 16, 25]
    calls = (tmp_path / "calls").read_text().split()
    assert sorted(calls) == ["0", "1", "2", "3", "3", "4", "5"]


def test_shard_that_kills_every_process_ends_all_by_its_name_and_the_rest_is_kept(tmp_path: Path) -> None:
    def kill(folder: Path, number: int) -> int:
        with (folder / "calls").open("a") as calls:
            calls.write(f"{number}\n")
        if number == 1 and not (folder / "mended").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return number + 5

    shards, kept = make_shards(range(4)), Folder(tmp_path / "kept")
    kept.folder.mkdir()
    with pytest.raises(AmunError, match=rf"^number 1: {MAX_KILLS} processes died .* \(shard {shards[1].name}\)"):
        list(map_shards(kill, shards, tmp_path, LocalEngine(2), kept))
    done = {path.name for path in kept.folder.iterdir()}
    assert shards[0].name in done
    calls = (tmp_path / "calls").read_text().split()
    assert calls.count("1") == MAX_KILLS
    (tmp_path / "mended").touch()
    assert list(map_shards(kill, shards, tmp_path, LocalEngine(2), kept)) == [5, 6, 7, 8]
    again = (tmp_path / "calls").read_text().split()[len(calls) :]
    assert sorted(again) == sorted(str(shard.work) for shard in shards if shard.name not in done)


@pytest.mark.parametrize("num_processes", [1, 2])
def test_what_is_kept_is_not_computed_again(tmp_path: Path, num_processes: int) -> None:
    def fail_at_nine(_: None, number: int) -> int:
        if number == 9:
            raise InputError("there is no nine")
        return number

    kept = Folder(tmp_path)
    with pytest.raises(InputError, match="no nine"):
        list(map_shards(fail_at_nine, make_shards(range(10)), None, LocalEngine(num_processes), kept))
    left = {int(path.read_text()) for path in tmp_path.iterdir()}
    assert len(left) >= 8  # all that was done before the error came; one may have been under way
    computed = list(map_shards(lambda _, number: -number, make_shards(range(10)), None, LocalEngine(), kept))
    assert computed == [number if number in left else -number for number in range(10)]


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (errno.ENOSPC, r"AmunError: number \d cannot be kept: full; make room and run this again: .*"),
        (errno.EIO, r"OSError: \[Errno 5\] full"),
    ],
)
def test_result_that_cannot_be_kept_ends_all(number: int, line: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", NOT_KEPT_IN, str(number)], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 1
    assert re.fullmatch(rf"(amun\.core\.errors\.)?{line}", run.stderr.splitlines()[-1])


def test_what_is_done_beside_an_error_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_at_first(_: None, number: int) -> int:
        if number == 0:
            raise InputError("there is no zero")
        return number

    # both answer before anybody looks
    monkeypatch.setattr(
        workers, "wait", lambda those: [one for one in those if not isinstance(one, int) and one.poll(60)]
    )
    shards = make_shards([0, 1])
    with pytest.raises(InputError, match="no zero"):
        list(map_shards(fail_at_first, shards, None, LocalEngine(2), Folder(tmp_path)))
    assert [path.name for path in tmp_path.iterdir()] == [shards[1].name]


class OfOneProcessError(Exception):
    """An error that no other process can read."""

    def __init__(self, line: str, _: Callable[[], int]) -> None:
        super().__init__(line)


@pytest.mark.parametrize(
    ("error", "kind", "line"),
    [
        (InputError("data.root: not there"), InputError, "^data.root: not there$"),
        (OfOneProcessError("no such driver", lambda: 0), AmunError, "^OfOneProcessError: no such driver$"),
    ],
)
def test_whatever_fails_there_fails_here(error: Exception, kind: type[AmunError], line: str) -> None:
    def fail(_: None, __: int) -> int:
        raise error

    with pytest.raises(kind, match=line):
        list(map_shards(fail, make_shards([1, 2, 3]), None, LocalEngine(2)))


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


def test_a_shard_is_named_by_all_that_it_depends_on() -> None:
    named: list[tuple[str | int | bytes, ...]] = [("a", 1), ("a", "1"), ("a", b"1"), ("b", 1), (1, "a"), ("a1",)]
    assert len({name_shard(*parts) for parts in named}) == len(named)
    assert name_shard("a", 1, b"\0") == name_shard("a", 1, b"\0")
