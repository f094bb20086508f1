"""Processes of this machine that compute one shard at a time, each for as long as it lives."""

import os
import pickle
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkContext, SpawnContext
from multiprocessing.reduction import ForkingPickler
from typing import Any, Literal

from amun.core.errors import AmunError, join_lines
from amun.core.log import begin_log
from amun.core.processes import end_with_parent
from amun.engine.shards import Queue

END_SECONDS = 10.0
Start = Literal["fork", "spawn"]
_CONTEXTS: dict[Start, ForkContext | SpawnContext] = {"fork": ForkContext(), "spawn": SpawnContext()}


@dataclass(frozen=True)
class Call:
    """What a process computes: the function of what is shared and of a work, once it is prepared."""

    prepare: Callable[[], object]
    function: Callable[[Any, Any], Any]
    shared: Any


@dataclass(frozen=True)
class Answer:
    """What a worker has come to: a result, or what was raised instead."""

    result: Any
    error: Exception | None = None


class Worker:
    """A process that computes one shard at a time.

    Attributes:
        place: of the shard that it has.
    """

    def __init__(self, call: Call, works: Sequence[Any], start: Start) -> None:
        self._is_copy = start == "fork"
        self._works = works
        self.place = -1
        self.connection, theirs = _CONTEXTS[start].Pipe()
        held = (call, works) if self._is_copy else None
        # a copy is a daemon: Python's own end waits for any other, which waits for its next shard. A new process is
        # none, for a function may start some of its own; it ends with this one in any case
        arguments = held, theirs, os.getpid()
        self.process = _CONTEXTS[start].Process(target=_serve, args=arguments, daemon=self._is_copy)
        self.process.start()
        theirs.close()  # with its own copy the worker's death closes the last one
        if not self._is_copy:
            # not as an argument: until such a process reads these, nobody else would see that it has died
            self._send(call)

    def ask(self, place: int) -> None:
        """Gives it the next shard."""
        self.place = place
        self._send((place, None if self._is_copy else self._works[place]))

    def _send(self, message: Any) -> None:
        with suppress(OSError):  # it has died: whoever waits for the answer sees it
            self.connection.send(message)

    def take_answer(self) -> Answer | None:
        """Returns its answer, which is there; None where it has died instead."""
        with suppress(EOFError, OSError):
            if self.connection.poll():
                answer: Answer = self.connection.recv()
                return answer
        return None

    def end(self) -> None:
        """Ends it, whatever it does."""
        self.process.kill()
        self.process.join(END_SECONDS)
        self.connection.close()


@dataclass(frozen=True)
class Crew:
    """Workers: those that live, and of them those that compute and those that have nothing to do."""

    call: Call
    works: Sequence[Any]
    start: Start
    living: list[Worker] = field(default_factory=list)
    busy: list[Worker] = field(default_factory=list)
    idle: list[Worker] = field(default_factory=list)

    def hand_out(self, waiting: Queue, size: int) -> None:
        """Gives so many workers what may begin, as far as there is any."""
        while len(self.busy) < size and (place := waiting.take()) is not None:
            if not self.idle:
                self.living.append(Worker(self.call, self.works, self.start))
                self.idle.append(self.living[-1])
            worker = self.idle.pop()
            worker.ask(place)
            self.busy.append(worker)

    def await_answers(self) -> list[tuple[int, Answer | None]]:
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


def _serve(held: tuple[Call, Sequence[Any]] | None, connection: Connection, parent: int) -> None:
    """Answers for each place that comes, until it is killed.

    Args:
        held: what a copy has from its parent; a new process is sent it.
        connection: to the parent.
        parent: its process id.
    """
    end_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the parent ends the others
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # by which Python ends a daemon
    # a bar of progress has put others in their place, whose locks its thread may have held at the fork
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    begin_log()
    with suppress(EOFError):
        call, failure = _begin(held, connection)
        while True:
            place, work = connection.recv()
            answer = Answer(None, failure)
            if call is not None:
                answer = _compute(call, work if held is None else held[1][place])
            connection.send(answer)


def _begin(held: tuple[Call, Sequence[Any]] | None, connection: Connection) -> tuple[Call | None, Exception | None]:
    """Returns what is to be computed, once this process is ready; or why it cannot be."""
    try:
        call: Call = connection.recv() if held is None else held[0]
        call.prepare()
    except EOFError:
        raise
    except Exception as error:  # what is imported, and what prepares, may raise anything
        return None, _make_picklable(error)
    return call, None


def _compute(call: Call, work: Any) -> Answer:
    try:
        return Answer(call.function(call.shared, work))
    except Exception as error:  # the function may raise anything
        return Answer(None, _make_picklable(error))


def _make_picklable(error: Exception) -> Exception:
    """Returns an error that another process can read."""
    try:
        pickle.loads(ForkingPickler.dumps(error))  # noqa: S301 - of this process
    except Exception:  # an error of a library may need anything
        return AmunError(f"{type(error).__name__}: {join_lines(error)}")
    return error
