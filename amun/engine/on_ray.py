"""Shards on a Ray cluster: for more trainings than one machine does in time. Results are those of `LocalEngine`.

The cluster computes, and keeps nothing: what is shared can be sent again, and a result is fetched as soon as it is
there. Ray's own retries are off, for it counts neither what kills a worker nor what a lost node had.
"""

import os
import pickle
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from amun.core.errors import AmunError, InputError, join_lines
from amun.core.paths import CUSTOM
from amun.engine.release import describe_release
from amun.engine.shards import Kills, Result, Shard, Shared, Work

ADDRESS_VARIABLE, AUTH_VARIABLE = "RAY_ADDRESS", "RAY_AUTH_MODE"
ADVICE = "give the nodes more memory, or fewer processors (`ray start --num-cpus`)"
CONNECT_SECONDS = 5.0
WAIT_SECONDS = 5.0  # until it is looked whether there is still anybody
GET_SECONDS = 300.0  # for a result that is there: the node that has it may die
NOBODY_SECONDS = 120.0
TASK_SECONDS = 1.0  # as long as a task is to take: Ray needs milliseconds for each, and many waiting ones slow it down
MAX_LOSSES = 20  # of one shard, by nodes that died


def read_address() -> str:
    """Returns the address of the cluster, at which somebody answers.

    Raises:
        InputError: `RAY_ADDRESS` names none, nobody answers there, or it is open to anybody.
    """
    address = os.environ.get(ADDRESS_VARIABLE, "")
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in address:
        raise InputError(
            f"runtime.engine: ray needs {ADDRESS_VARIABLE}, the cluster's head as host:port (10.0.0.7:6379), found "
            f"{address!r}; or write local"
        )
    if os.environ.get(AUTH_VARIABLE) != "token":
        raise InputError(
            "runtime.engine: whoever reaches a Ray cluster without token authentication runs any program on it; start "
            f"it with {AUTH_VARIABLE}=token, and set that here, too (docs/scale.md)"
        )
    try:
        # Ray itself would wait for a head that is not there
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"{ADDRESS_VARIABLE}: nobody answers at {address}: {join_lines(error)}") from None
    return address


@dataclass(frozen=True)
class RayEngine:
    """Computes shards on the nodes of a cluster, of which this machine is one.

    Attributes:
        address: of its head.
        prepare: called on a node before it computes; at the top level of a module, or a `partial` of such.
        num_cpus: that a shard takes.
        num_gpus: likewise.
    """

    address: str
    prepare: Callable[[], object]
    num_cpus: int = 1
    num_gpus: int = 0

    def run(
        self, function: Callable[[Shared, Work], Result], shards: Sequence[Shard[Work]], shared: Shared
    ) -> Generator[tuple[int, Result], None, None]:
        """Yields place and result of each shard that is done.

        Raises:
            InputError: Ray is not installed, or refuses the connection.
            AmunError: a shard has killed too many workers, a node has another release, or there is none any more.
                Whatever the function raises.
        """
        if not shards:
            return
        ray = _connect(self.address)
        try:
            yield from _Job(ray, self, function, shards, shared).run()
        finally:
            ray.shutdown()


class _Job:
    """The tasks of one run: each a group of shards, of one until it is known how long one takes."""

    def __init__(
        self, ray: Any, engine: RayEngine, function: Callable[..., Any], shards: Sequence[Shard[Any]], shared: Any
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
        self._waiting = deque(range(len(shards)))
        self._alone = set[int]()  # of a group whose worker has died
        self._running: dict[Any, list[int]] = {}
        self._kills = Kills(ADVICE)
        self._losses = Counter[int]()
        self._seconds = self._done = 0.0
        self._heard_at = time.monotonic()

    def run(self) -> Iterator[tuple[int, Any]]:
        """Yields place and result of each shard that is done."""
        while self._waiting or self._running:
            num_slots = self._count_slots()
            while self._waiting and len(self._running) < max(1, num_slots):
                self._send(self._take_group(num_slots))
            ready, _ = self._ray.wait([*self._running], num_returns=1, timeout=WAIT_SECONDS)
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
        resources = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        cpus = sum(int(each.get("CPU", 0)) // self._engine.num_cpus for each in resources)
        if not self._engine.num_gpus:
            return cpus
        return min(cpus, sum(int(each.get("GPU", 0)) // self._engine.num_gpus for each in resources))

    def _take_group(self, num_slots: int) -> list[int]:
        if not self._done or self._waiting[0] in self._alone:
            return [self._waiting.popleft()]
        of_seconds = ceil(TASK_SECONDS * self._done / max(self._seconds, 1e-9))
        size = max(1, min(of_seconds, ceil(len(self._waiting) / max(1, num_slots))))
        return [self._waiting.popleft() for _ in range(min(size, len(self._waiting)))]

    def _send(self, group: list[int]) -> None:
        works = [self._shards[place].work for place in group]
        task = self._task.remote(self._function, self._engine.prepare, describe_release(), self._sent, works)
        self._running[task] = group

    def _fetch(self, task: Any) -> Iterator[tuple[int, Any]]:
        from ray import exceptions

        group = self._running.pop(task)
        try:
            packed, seconds = self._ray.get(task, timeout=GET_SECONDS)
        except exceptions.RayTaskError as error:
            raise _unwrap(error, self._shards[group[0]]) from None
        except exceptions.RayError as error:
            self._note_loss(group, isinstance(error, exceptions.WorkerCrashedError | exceptions.OutOfMemoryError))
            return
        self._seconds += seconds
        self._done += len(group)
        yield from zip(group, pickle.loads(packed), strict=True)  # noqa: S301 - of our own worker

    def _note_loss(self, group: list[int], is_worker: bool) -> None:
        """Puts shards back whose worker or node has died, each to be computed by itself."""
        for place in group:
            self._losses[place] += 1
            if self._losses[place] >= MAX_LOSSES:
                raise AmunError(f"{self._shards[place].title}: lost {MAX_LOSSES} times with nodes of the Ray cluster")
        if is_worker and len(group) == 1:
            self._kills.note(self._shards[group[0]])
        self._alone.update(group)
        self._waiting.extendleft(reversed(group))
        self._sent = self._ray.put(self._shared)  # the node that had it may be the one that died


def _compute(
    function: Callable[[Any, Any], Any], prepare: Callable[[], object], release: str, shared: Any, works: Sequence[Any]
) -> tuple[bytes, float]:
    """Returns the pickled results of a group of shards, and the seconds they took; on a node.

    Arrays as they are would lie in Ray's memory even where they are read, and be gone with the cluster.
    """
    if (own := describe_release()) != release:
        raise AmunError(
            f"node {socket.gethostname()} of the Ray cluster would come to other bytes: it has {own}, where {release} "
            "is asked for; install the same there, on the same kind of machine"
        )
    prepare()
    began_at = time.monotonic()
    results = [function(shared, work) for work in works]
    return pickle.dumps(results, protocol=5), time.monotonic() - began_at


def _connect(address: str) -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ImportError:
        raise InputError(
            "runtime.engine: ray needs the extra [ray] (`pip install 'amun[ray]'`); or write local"
        ) from None
    modules = [str(CUSTOM.resolve())] if any(CUSTOM.glob("*.py")) else []
    try:
        ray.init(
            address=address,
            runtime_env={"py_modules": modules} if modules else None,
            log_to_driver=False,
            logging_level="ERROR",
        )
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise InputError(f"{ADDRESS_VARIABLE}: Ray cannot work at {address}: {join_lines(error)}") from None
    import torch

    # as arrays all processes of a node read the same memory; tensors would be copied to each
    ray.util.register_serializer(torch.Tensor, serializer=lambda tensor: tensor.cpu().numpy(), deserializer=_as_tensor)
    return ray


def _as_tensor(array: Any) -> Any:
    import warnings

    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nobody writes into it
        return torch.from_numpy(array)


def _unwrap(error: Any, shard: Shard[Any]) -> Exception:
    """Returns what the function raised on a node."""
    if isinstance(error.cause, AmunError):
        return error.cause
    cause = error.cause if isinstance(error.cause, Exception) else error
    return AmunError(f"{shard.title}, on the Ray cluster: {type(cause).__name__}: {join_lines(cause)[-300:]}")
