"""Shards in this process, or in copies of it: what needs neither a server nor another machine."""

import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from amun.engine.shards import Kills, Queue, Result, Shard, Shared, Work
from amun.engine.workers import Answer, Call, Crew, Start

ADVICE = (
    "with fewer processors (`taskset --cpu-list 0 ...`, CPUAffinity= of a service) fewer processes share the memory"
)


def do_nothing() -> None:
    """What a process does before it computes, where it is ready as it is."""


@dataclass(frozen=True)
class LocalEngine:
    """Computes shards in so many processes; with one, or copies on another system than Linux, in this one.

    Copies are forked: they share what lies in memory, and import nothing anew. The shard of a process that dies is
    computed again, and from then on at most one process fewer computes at a time.

    Attributes:
        num_processes: at most so many.
        start: `fork` makes copies. Torch must take a single thread here then, and no other thread may hold a lock that
            the function takes: a copy would wait for it for ever. `spawn` makes new processes, which are sent the
            function, what is shared and their works as pickles: for a program that has threads, or has grown large.
        prepare: called in each process before it computes; picklable where they are spawned.

    Note:
        `ProcessPoolExecutor` has all of its processes end when one dies, and does not tell which item that one had.
    """

    num_processes: int = 1
    start: Start = "fork"
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
        crew = Crew(Call(self.prepare, function, shared), [shard.work for shard in shards], self.start)
        try:
            yield from _share(crew, shards, min(self.num_processes, len(shards)))
        finally:
            crew.end()

    def _is_here(self, num_shards: int) -> bool:
        """Tells whether this process computes so many shards itself."""
        if self.start == "spawn":
            return self.num_processes <= 1 or not num_shards
        return min(self.num_processes, num_shards) <= 1 or sys.platform != "linux"


def _compute_here(
    function: Callable[[Shared, Work], Result], shards: Sequence[Shard[Work]], shared: Shared
) -> Iterator[tuple[int, Result]]:
    waiting = Queue(shards)
    while (place := waiting.take()) is not None:
        yield place, function(shared, shards[place].work)
        waiting.note_done(place)
    waiting.refuse_ring()


def _share(crew: Crew, shards: Sequence[Shard[Any]], size: int) -> Iterator[tuple[int, Any]]:
    """Yields place and result of each shard, from so many workers at first."""
    waiting, kills, answers = Queue(shards), Kills(ADVICE), list[tuple[int, Answer | None]]()
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
    answers: Sequence[tuple[int, Answer | None]], shards: Sequence[Shard[Any]], waiting: Queue, kills: Kills
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
