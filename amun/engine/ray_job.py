"""The tasks of one run on a Ray cluster: who has which shards, what came of them, and what was lost with a node.

The cluster computes, and keeps nothing: what is shared can be sent again, and a result is fetched as soon as it is
there. Ray's own retries are off, for it counts neither what kills a worker nor what a lost node had.
"""

import pickle
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

from amun.core.errors import AmunError, join_lines
from amun.core.processes import forbid_core_dumps
from amun.core.release import describe_release
from amun.engine.shards import Kills, Queue, Shard

if TYPE_CHECKING:
    from amun.engine.on_ray import RayEngine

ADVICE = "give the nodes more memory, or fewer processors (`ray start --num-cpus`)"
WAIT_SECONDS = 5.0  # until it is looked whether there is still anybody
GET_SECONDS = 300.0  # for a result that is there: the node that has it may die
NOBODY_SECONDS = 120.0
SILENT_SECONDS = 600.0  # without a result, after which a line says so
TASK_SECONDS = 1.0  # as long as a task is to take: Ray needs milliseconds for each, and many waiting ones slow it down
MAX_LOSSES = 20  # of one shard, by nodes that died


class Job:
    """The tasks of one run: each a group of shards, of one until it is known how long one takes."""

    def __init__(
        self, ray: Any, engine: "RayEngine", function: Callable[..., Any], shards: Sequence[Shard[Any]], shared: Any
    ) -> None:
        self._ray = ray
        self._engine = engine
        self._function = function
        self._shards = shards
        self._shared = shared
        self._sent = ray.put(shared)
        self._task = ray.remote(_compute).options(
            num_cpus=engine.num_cpus, num_gpus=engine.num_gpus, max_retries=0, scheduling_strategy="SPREAD"
        )
        self._waiting = Queue(shards)
        self._alone = set[int]()  # of a group whose worker has died
        self._running: dict[Any, list[int]] = {}
        self._kills = Kills(ADVICE)
        self._losses = Counter[int]()
        self._seconds = self._done = 0.0
        self._heard_at = self._came_at = time.monotonic()

    def run(self) -> Iterator[tuple[int, Any]]:
        """Yields place and result of each shard that is done."""
        while self._waiting or self._running:
            num_slots = self._count_slots()
            while len(self._running) < max(1, num_slots) and (group := self._take_group(num_slots)):
                self._send(group)
            if not self._running:
                self._waiting.refuse_ring()
            ready, _ = self._ray.wait([*self._running], num_returns=1, timeout=WAIT_SECONDS)
            self._tell_silence(bool(ready), num_slots)
            if ready or num_slots:
                self._heard_at = time.monotonic()
            elif time.monotonic() - self._heard_at > NOBODY_SECONDS:
                raise AmunError(
                    f"no node of the Ray cluster at {self._engine.address} has had {self._engine.num_cpus} CPUs and "
                    f"{self._engine.num_gpus} GPUs for {NOBODY_SECONDS:.0f} s; what is done is kept: start nodes and "
                    "run this again"
                )
            for task in ready:
                yield from self._fetch(task)

    def _count_slots(self) -> int:
        """Returns how many shards the living nodes compute at a time."""
        return sum(count_slots(node["Resources"], self._engine) for node in self._ray.nodes() if node["Alive"])

    def _tell_silence(self, has_come: bool, num_slots: int) -> None:
        """Prints a line where nothing has come for long: a node may hang, or others have all processors."""
        now = time.monotonic()
        if has_come:
            self._came_at = now
        elif now - self._came_at > SILENT_SECONDS:
            self._came_at = now
            num_asked = sum(map(len, self._running.values()))
            told = f"under way or waiting for a node: {num_asked}, room on the nodes: {num_slots}"
            print(f"  nothing has come from the Ray cluster for {SILENT_SECONDS / 60:.0f} minutes; {told}", flush=True)

    def _take_group(self, num_slots: int) -> list[int]:
        """Returns the places of shards that may begin; none where all that wait need others first."""
        size = 1
        if self._done:
            of_seconds = ceil(TASK_SECONDS * self._done / max(self._seconds, 1e-9))
            size = max(1, min(of_seconds, ceil(len(self._waiting) / max(1, num_slots))))
        group = list[int]()
        while len(group) < size and (place := self._waiting.take()) is not None:
            group.append(place)
            if place in self._alone:
                break
        return group

    def _send(self, group: list[int]) -> None:
        works = [(self._shards[place].title, self._shards[place].work) for place in group]
        release = describe_release(self._engine.device)
        task = self._task.remote(self._function, self._engine, release, self._sent, works)
        self._running[task] = group

    def _fetch(self, task: Any) -> Iterator[tuple[int, Any]]:
        from ray import exceptions

        group = self._running.pop(task)
        try:
            packed, seconds, failure = self._ray.get(task, timeout=GET_SECONDS)
        except exceptions.RayTaskError as error:
            if not isinstance(error.cause, exceptions.ObjectLostError):
                raise _unwrap(error) from None
            self._note_loss(group, error.cause)
            return
        except (exceptions.RuntimeEnvSetupError, exceptions.OutOfDiskError, exceptions.ObjectStoreFullError) as error:
            # another try would come to the same
            raise _unwrap(error) from None
        except exceptions.RayError as error:
            self._note_loss(group, error)
            return
        results = pickle.loads(packed)  # noqa: S301 - of our own worker; Ray unpickles what a node says in any case
        self._seconds += seconds
        self._done += len(results)
        for place, result in zip(group, results, strict=failure is None):
            yield place, result
            self._waiting.note_done(place)
        if failure is not None:
            raise failure

    def _note_loss(self, group: list[int], error: Exception) -> None:
        """Puts shards back whose worker or node has died, each to be computed by itself."""
        from ray import exceptions

        for place in group:
            self._losses[place] += 1
            if self._losses[place] >= MAX_LOSSES:
                lost = f"{self._shards[place].title}: lost {MAX_LOSSES} times with nodes of the Ray cluster"
                raise AmunError(f"{lost}, the last time by {_describe(error)}")
        if isinstance(error, exceptions.WorkerCrashedError | exceptions.OutOfMemoryError) and len(group) == 1:
            self._kills.note(self._shards[group[0]])
        self._alone.update(group)
        self._waiting.put_back(group)
        if isinstance(error, exceptions.ObjectLostError):
            self._sent = self._ray.put(self._shared)  # the node that had it may be the one that died


def count_slots(resources: Mapping[str, float], engine: "RayEngine") -> int:
    """Returns how many shards a node computes at a time, by what Ray says of it."""
    cpus = int(resources.get("CPU", 0)) // engine.num_cpus
    return min(cpus, int(resources.get("GPU", 0)) // engine.num_gpus) if engine.num_gpus else cpus


def _compute(
    function: Callable[[Any, Any], Any],
    engine: "RayEngine",
    release: str,
    shared: Any,
    works: Sequence[tuple[str, Any]],
) -> tuple[bytes, float, AmunError | None]:
    """Returns the pickled results of a group of shards, by title and work, and the seconds they took; on a node.

    Where one fails, those before it, and what it has failed of. Arrays as they are would lie in Ray's memory even where
    they are read, and be gone with the cluster.
    """
    forbid_core_dumps()
    if (own := describe_release(engine.device)) != release:
        raise AmunError(
            f"node {socket.gethostname()} of the Ray cluster would come to other bytes: it has {own}, where {release} "
            "is asked for; install the same there, on the same kind of machine"
        )
    engine.prepare()
    began_at = time.monotonic()
    results, failure = [], None
    for title, work in works:
        try:
            results.append(function(shared, work))
        except AmunError as error:
            failure = error
            break
        except Exception as error:  # the function may raise anything
            failure = AmunError(f"{title}, on the Ray cluster: {_describe(error)}")
            break
    return pickle.dumps(results, protocol=5), time.monotonic() - began_at, failure


def _unwrap(error: Any) -> AmunError:
    """Returns what was raised on a node, or why it cannot compute."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, AmunError):
        return cause
    found = _describe(cause if isinstance(cause, Exception) else error)
    return AmunError(f"the Ray cluster cannot compute: {found}; what is done is kept: mend it, and run this again")


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {join_lines(error)[-300:]}"
