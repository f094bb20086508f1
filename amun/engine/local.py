"""Shards in this process, or in copies of it: what needs neither a server nor another machine."""

import multiprocessing
import os
import pickle
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from typing import Any

from amun.core.errors import AmunError, join_lines
from amun.core.log import begin_log
from amun.core.processes import end_with_parent
from amun.engine.shards import Kills, Result, Shard, Shared, Work

ADVICE = (
    "with fewer processors (`taskset --cpu-list 0 ...`, CPUAffinity= of a service) fewer processes share the memory"
)
END_SECONDS = 10.0


@dataclass(frozen=True)
class LocalEngine:
    """Computes shards in so many copies of this process; with one, or on another system than Linux, in this one.

    The copies are forked: they share what lies in memory, and import nothing anew. The shard of a copy that dies is
    computed again, and from then on at most one copy fewer computes at a time.

    Attributes:
        num_processes: at most so many. With several, torch must take a single thread here, and no other thread may
            hold a lock that the function takes: a copy would wait for it for ever.

    Note:
        `ProcessPoolExecutor` has all of its processes end when one dies, and does not tell which item that one had.
    """

    num_processes: int = 1

    def run(
        self, function: Callable[[Shared, Work], Result], shards: Sequence[Shard[Work]], shared: Shared
    ) -> Generator[tuple[int, Result], None, None]:
        """Yields place and result of each shard that is done; what the function returns or raises is picklable.

        Raises:
            AmunError: a shard has killed too many processes. Whatever the function raises.
        """
        num_processes = min(self.num_processes, len(shards))
        if num_processes <= 1 or sys.platform != "linux":
            for place, shard in enumerate(shards):
                yield place, function(shared, shard.work)
            return

        def compute(place: int) -> Result:
            return function(shared, shards[place].work)

        workers = list[_Worker]()
        try:
            yield from _share(workers, compute, shards, num_processes)
        finally:
            for worker in workers:
                worker.end()


@dataclass(frozen=True)
class _Answer:
    """What a worker has come to: a result, or what was raised instead."""

    result: Any
    error: Exception | None = None


class _Worker:
    """A copy of this process, which computes one shard at a time.

    Attributes:
        place: of the shard that it has.
    """

    def __init__(self, compute: Callable[[int], Any]) -> None:
        context = multiprocessing.get_context("fork")
        self.connection, theirs = context.Pipe()
        # a daemon: Python's own end waits for any other, which waits for its next shard
        self.process = context.Process(target=_serve, args=(compute, theirs, os.getpid()), daemon=True)
        self.process.start()
        theirs.close()  # with its own copy the worker's death closes the last one
        self.place = -1

    def ask(self, place: int) -> None:
        """Gives it the next shard."""
        self.place = place
        with suppress(OSError):  # it has died: whoever waits for the answer sees it
            self.connection.send(place)

    def take_answer(self) -> _Answer | None:
        """Returns its answer, which is there; None where it has died instead."""
        with suppress(EOFError, OSError):
            if self.connection.poll():
                answer: _Answer = self.connection.recv()
                return answer
        return None

    def end(self) -> None:
        """Ends it, whatever it does."""
        self.process.kill()
        self.process.join(END_SECONDS)
        self.connection.close()


def _share(
    workers: list[_Worker], compute: Callable[[int], Any], shards: Sequence[Shard[Any]], size: int
) -> Iterator[tuple[int, Any]]:
    """Yields place and result of each shard, from so many workers at first; `workers` are those that live."""
    waiting, kills = deque(range(len(shards))), Kills(ADVICE)
    idle, busy, done = list[_Worker](), list[_Worker](), list[tuple[int, Any]]()
    while waiting or busy:
        while waiting and len(busy) < size:
            worker = idle.pop() if idle else _start(workers, compute)
            worker.ask(waiting.popleft())
            busy.append(worker)
        yield from done  # only now that everybody has work
        done.clear()
        ready = {*wait([each for worker in busy for each in (worker.connection, worker.process.sentinel)])}
        dead, errors = list[_Worker](), list[Exception]()
        for worker in [one for one in busy if not ready.isdisjoint((one.connection, one.process.sentinel))]:
            busy.remove(worker)
            answer = worker.take_answer()
            if answer is None:
                dead.append(worker)
            elif answer.error is not None:
                errors.append(answer.error)
            else:
                idle.append(worker)
                done.append((worker.place, answer.result))
        if errors or dead:
            yield from done  # before anything is raised: what is done is kept
            done.clear()
        if errors:
            raise errors[0]
        for worker in dead:
            workers.remove(worker)
            worker.end()
            kills.note(shards[worker.place])
            waiting.appendleft(worker.place)
            size = max(1, size - 1)
    yield from done


def _start(workers: list[_Worker], compute: Callable[[int], Any]) -> _Worker:
    workers.append(_Worker(compute))
    return workers[-1]


def _serve(compute: Callable[[int], Any], connection: Connection, parent: int) -> None:
    """Answers for each place that comes, until it is killed."""
    end_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the parent ends the others
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # by which Python ends a daemon
    # a bar of progress has put others in their place, whose locks its thread may have held at the fork
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    begin_log()
    with suppress(EOFError):
        while True:
            place = connection.recv()
            try:
                answer = _Answer(compute(place))
            except Exception as error:  # the function may raise anything
                answer = _Answer(None, _make_picklable(error))
            connection.send(answer)


def _make_picklable(error: Exception) -> Exception:
    """Returns an error that another process can read."""
    try:
        pickle.loads(ForkingPickler.dumps(error))  # noqa: S301 - of this process
    except Exception:  # an error of a library may need anything
        return AmunError(f"{type(error).__name__}: {join_lines(error)}")
    return error
