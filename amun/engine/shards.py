"""One function over many shards: results in order, the same whatever computes them, and none computed twice."""

import hashlib
import json
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from amun.core.errors import AmunError
from amun.core.files import NO_ROOM

MAX_KILLS = 3
Work = TypeVar("Work")
Shared = TypeVar("Shared")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Shard(Generic[Work]):
    """A piece of work.

    Attributes:
        name: of its content: equal where the same is to be computed (`name_shard`).
        title: what a person calls it.
        work: what the function gets; picklable.
        needs: names of shards whose results are to be kept before this one begins; other names wait for nothing.
    """

    name: str
    title: str
    work: Work
    needs: frozenset[str] = frozenset()


class Engine(Protocol):
    """Computes shards somewhere; a result does not depend on where."""

    @property
    def shares_files(self) -> bool:
        """Whether this machine computes, where its files are at hand."""
        ...

    def run(
        self, function: Callable[[Shared, Work], Result], shards: Sequence[Shard[Work]], shared: Shared
    ) -> Generator[tuple[int, Result], None, None]:
        """Yields the place among the shards, and the result, of each that is done, in whatever order.

        A shard begins once what it needs has been yielded, and the next result is asked for. Whoever takes no more
        results closes it: it ends what still computes.

        Raises:
            AmunError: a shard has killed as many workers as `MAX_KILLS`. Whatever the function raises.
            ValueError: shards wait for each other.
        """
        ...


class Keeper(Protocol[Result]):
    """Keeps the results of shards that are done, so that whoever comes after a killed run goes on from there."""

    def read(self, name: str) -> Result | None:
        """Returns what was kept under the name of a shard; None where nothing was, or it is damaged."""
        ...

    def keep(self, name: str, result: Result) -> None:
        """Keeps a result, whole or not at all."""
        ...


def name_shard(*parts: str | int | bytes) -> str:
    """Returns the name of a shard, from all that its result depends on."""
    digests = [hashlib.sha256(part).hexdigest() if isinstance(part, bytes) else part for part in parts]
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()[:32]


def map_shards(
    function: Callable[[Shared, Work], Result],
    shards: Sequence[Shard[Work]],
    shared: Shared,
    engine: Engine,
    keeper: Keeper[Result] | None = None,
) -> Iterator[Result]:
    """Yields the function's results for all shards, in their order.

    Args:
        function: of what is shared and a shard's work. It computes the same wherever it is called, and how often.
            For an engine of several machines it stands at the top level of a module.
        shards: of different names.
        shared: what all of them read; it goes once to each machine.
        engine: what computes.
        keeper: of the results: a shard that is kept is not computed again. None keeps nothing.

    Raises:
        AmunError: as `Engine.run`, or a result cannot be kept for want of room. Whatever the function or the keeper
            raises.
    """
    results = dict[int, Result]()
    if keeper is not None:
        kept = ((place, keeper.read(shard.name)) for place, shard in enumerate(shards))
        results = {place: result for place, result in kept if result is not None}
    places = [place for place in range(len(shards)) if place not in results]
    asked = [shards[place] for place in places]
    # whatever is raised here, the workers end at once, and not when nobody looks at the traceback any more
    with closing(compute_shards(function, asked, shared, engine, keeper)) as done:
        for place in range(len(shards)):
            while place not in results:
                number, result = next(done)
                results[places[number]] = result
            yield results.pop(place)


def compute_shards(
    function: Callable[[Shared, Work], Result],
    shards: Sequence[Shard[Work]],
    shared: Shared,
    engine: Engine,
    keeper: Keeper[Result] | None = None,
) -> Generator[tuple[int, Result], None, None]:
    """Yields the place of each shard and its result, as it is done and kept: for whoever needs no order.

    Args and errors are those of `map_shards`, but that the keeper is not asked for what it has.
    """
    with closing(engine.run(function, shards, shared)) as done:
        for place, result in done:
            if keeper is not None:
                _keep(keeper, shards[place], result)
            yield place, result


def _keep(keeper: Keeper[Result], shard: Shard[Any], result: Result) -> None:
    try:
        keeper.keep(shard.name, result)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        told = f"cannot be kept: {error.strerror}; make room and run this again: what is kept is not computed again"
        raise AmunError(f"{shard.title} {told}") from None


class Queue:
    """Places of shards that wait: of those that may begin the first is taken first."""

    def __init__(self, shards: Sequence[Shard[Any]]) -> None:
        self._shards = shards
        self._places = deque(range(len(shards)))
        self._missing = {shard.name for shard in shards}

    def __len__(self) -> int:
        """How many wait, whether they may begin or not."""
        return len(self._places)

    def take(self) -> int | None:
        """Returns the place of the first that may begin, which waits no more; None where there is none."""
        for number, place in enumerate(self._places):
            if self._missing.isdisjoint(self._shards[place].needs):
                del self._places[number]
                return place
        return None

    def put_back(self, places: Sequence[int]) -> None:
        """Has these wait again, before all others."""
        self._places.extendleft(reversed(places))

    def note_done(self, place: int) -> None:
        """Notes that a result is there: nobody waits for that shard any more."""
        self._missing.discard(self._shards[place].name)

    def refuse_ring(self) -> None:
        """Sees that nobody waits, where none is under way.

        Raises:
            ValueError: shards wait for each other.
        """
        if self._places:
            raise ValueError(f"{self._shards[self._places[0]].title} waits for shards that wait for it")


@dataclass
class Kills:
    """How many workers have died at each shard."""

    advice: str
    _counts: Counter[str] = field(default_factory=Counter)

    def note(self, shard: Shard[Any]) -> None:
        """Notes that a worker has died which had this shard, and no other.

        Raises:
            AmunError: it is one too many.
        """
        self._counts[shard.name] += 1
        if self._counts[shard.name] >= MAX_KILLS:
            raise AmunError(
                f"{shard.title}: {MAX_KILLS} processes died while they computed it (shard {shard.name}), perhaps for "
                f"want of memory; {self.advice}"
            )
