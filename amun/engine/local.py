"""Shards in this process, or in copies of it: what needs neither a server nor another machine."""

import os
import pickle
import signal
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkContext, SpawnContext
from multiprocessing.reduction import ForkingPickler
from typing import Any, Literal

from amun.core.errors import AmunError, join_lines
from amun.core.log import begin_log
from amun.core.processes import end_with_parent
from amun.engine.shards import Kills, Queue, Result, Shard, Shared, Work

ADVICE = (
    "with fewer processors (`taskset --cpu-list 0 ...`, CPUAffinity= of a service) fewer processes share the memory"
)
END_SECONDS = 10.0
_CONTEXTS: dict[Literal["fork", "spawn"], ForkContext | SpawnContext] = {"fork": ForkContext(), "spawn": SpawnContext()}


def do_nothing() -> None:
    """What a copy does before it computes: it is as this process is."""


@dataclass(frozen=True)
class LocalEngine:
    """Computes shards in so many processes; with one, or copies on another system than Linux, in this one.

    Copies are forked: they share what lies in memory, and import nothing anew. The shard of a process that dies is
    computed again, and from then on at most one process fewer computes at a time.

    Attributes:
        num_processes: at most so many.
        start: `fork` makes copies. Torch must take a single thread here then, and no other thread may hold a lock that
            the function takes: a copy would wait for it for ever. `spawn` makes new processes, which are sent the
            function, what is shared and all works as pickles: for a program that has threads, or has grown large.
        prepare: called in each process before it computes; picklable where they are spawned.

    Note:
        `ProcessPoolExecutor` has all of its processes end when one dies, and does not tell which item that one had.
    """

    num_processes: int = 1
    start: Literal["fork", "spawn"] = "fork"
    prepare: Callable[[], object] = do_nothing

    @property
    def shares_files(self) -> bool:
        """This machine computes."""
        return True

    def run(
        self, function: Callable[[Shared, Work], Result], shards: Sequence[Shard[Work]], shared: Shared
    ) -> Generator[tuple[int, Result], None, None]:
        """Yields place and result of each shard that is done; what the function returns or raises is picklable.

        Raises:
            AmunError: a shard has killed too many processes. Whatever the function raises.
            ValueError: shards wait for each other.
        """
        if self._is_here(len(shards)):
            if shards:
                self.prepare()
            yield from _compute_here(function, shards, shared)
            return
        call = _Call(self.prepare, function, shared, [shard.work for shard in shards])
        crew = _Crew(call, self.start)
        try:
            yield from _share(crew, shards, min(self.num_processes, len(shards)))
        finally:
            crew.end()

    def _is_here(self, num_shards: int) -> bool:
        """Tells whether this process computes so many shards itself."""
        if self.start == "spawn":
            return self.num_processes <= 1 or not num_shards
        return min(self.num_processes, num_shards) <= 1 or sys.platform != "linux"


@dataclass(frozen=True)
class _Call:
    """What a process computes: the function of what is shared and of one of the works, once it is prepared."""

    prepare: Callable[[], object]
    function: Callable[[Any, Any], Any]
    shared: Any
    works: Sequence[Any]

    def compute(self, place: int) -> Any:
        """Returns the result of the shard at that place."""
        return self.function(self.shared, self.works[place])


def _compute_here(
    function: Callable[[Shared, Work], Result], shards: Sequence[Shard[Work]], shared: Shared
) -> Iterator[tuple[int, Result]]:
    waiting = Queue(shards)
    while (place := waiting.take()) is not None:
        yield place, function(shared, shards[place].work)
        waiting.note_done(place)
    waiting.refuse_ring()


@dataclass(frozen=True)
class _Answer:
    """What a worker has come to: a result, or what was raised instead."""

    result: Any
    error: Exception | None = None


class _Worker:
    """A process that computes one shard at a time.

    Attributes:
        place: of the shard that it has.
    """

    def __init__(self, call: _Call, start: Literal["fork", "spawn"]) -> None:
        context = _CONTEXTS[start]
        self.connection, theirs = context.Pipe()
        # a daemon: Python's own end waits for any other, which waits for its next shard
        self.process = context.Process(target=_serve, args=(call, theirs, os.getpid()), daemon=True)
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


@dataclass(frozen=True)
class _Crew:
    """Workers: those that live, and of them those that compute and those that have nothing to do."""

    call: _Call
    start: Literal["fork", "spawn"]
    living: list[_Worker] = field(default_factory=list)
    busy: list[_Worker] = field(default_factory=list)
    idle: list[_Worker] = field(default_factory=list)

    def hand_out(self, waiting: Queue, size: int) -> None:
        """Gives so many workers what may begin, as far as there is any."""
        while len(self.busy) < size and (place := waiting.take()) is not None:
            if not self.idle:
                self.living.append(_Worker(self.call, self.start))
                self.idle.append(self.living[-1])
            worker = self.idle.pop()
            worker.ask(place)
            self.busy.append(worker)

    def await_answers(self) -> list[tuple[int, _Answer | None]]:
        """Returns the places of shards that nobody computes any more, with their answers; None where one has died."""
        ready = {*wait([each for worker in self.busy for each in (worker.connection, worker.process.sentinel)])}
        found = [one for one in self.busy if not ready.isdisjoint((one.connection, one.process.sentinel))]
        answers = [(worker.place, worker.take_answer()) for worker in found]
        for worker, (_, answer) in zip(found, answers, strict=True):
            self.busy.remove(worker)
            if answer is None:
                self.living.remove(worker)
                worker.end()
            else:
                self.idle.append(worker)
        return answers

    def end(self) -> None:
        """Ends all, whatever they do."""
        for worker in self.living:
            worker.end()


def _share(crew: _Crew, shards: Sequence[Shard[Any]], size: int) -> Iterator[tuple[int, Any]]:
    """Yields place and result of each shard, from so many workers at first."""
    waiting, kills, answers = Queue(shards), Kills(ADVICE), list[tuple[int, _Answer | None]]()
    while waiting or crew.busy or answers:
        done = [(place, answer.result) for place, answer in answers if answer is not None and answer.error is None]
        if len(done) == len(answers):
            crew.hand_out(waiting, size)  # while a result is kept, everybody has work
        for place, result in done:  # before anything is raised: what is done is kept
            yield place, result
            waiting.note_done(place)
        size = max(1, size - _note_trouble(answers, shards, waiting, kills))
        crew.hand_out(waiting, size)  # what has waited for these may begin now
        if not crew.busy:
            waiting.refuse_ring()
        answers = crew.await_answers() if crew.busy else []


def _note_trouble(
    answers: Sequence[tuple[int, _Answer | None]], shards: Sequence[Shard[Any]], waiting: Queue, kills: Kills
) -> int:
    """Returns how many workers have died, whose shards wait again; raises what one has raised."""
    for _, answer in answers:
        if answer is not None and answer.error is not None:
            raise answer.error
    lost = [place for place, answer in answers if answer is None]
    for place in lost:
        kills.note(shards[place])
    waiting.put_back(lost)
    return len(lost)


def _serve(call: _Call, connection: Connection, parent: int) -> None:
    """Answers for each place that comes, until it is killed."""
    end_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the parent ends the others
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # by which Python ends a daemon
    # a bar of progress has put others in their place, whose locks its thread may have held at the fork
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    begin_log()
    call.prepare()
    with suppress(EOFError):
        while True:
            place = connection.recv()
            try:
                answer = _Answer(call.compute(place))
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
