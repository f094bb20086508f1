"""What the engines cost: shards here against a plain loop, and on a Ray cluster of two nodes against the ideal.

    python -m bench.engine           here alone; a minute
    python -m bench.engine --ray     both; Ray must be there (`pip install 'amun[ray]'`); three minutes

The nodes have one processor each, on loopback. The exit code is 1 where a bound is not kept.
"""

import argparse
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import torch

from amun.engine.local import LocalEngine
from amun.engine.on_ray import ADDRESS_VARIABLE, AUTH_VARIABLE, RayEngine, read_address
from amun.engine.shards import Engine, Shard, map_shards, name_shard
from amun.study.machine import describe_machine

# without it Ray takes the machine's own address for a loopback one, and listens there
LOOPBACK_VARIABLE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
NUM_RUNS, NUM_NODES = 11, 2
MAX_RATIO = 1.05  # of a plain loop
MODEL_BYTES = 45_000_000
# seconds of a shard, how many, and the least share of the ideal that is taken for good
CASES = ((1.0, 16, 0.8), (0.01, 1000, 0.7))


def main() -> None:
    """Prints what was measured; exits with 1 where a bound is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ray", action="store_true", help="measure Ray, too")
    arguments = parser.parse_args()
    print(f"{describe_machine(torch.device('cpu'))}; load {os.getloadavg()[0]:.1f}")
    is_good = measure_here()
    if arguments.ray:
        with run_nodes():
            engine = RayEngine(read_address(), do_nothing)
            for case in CASES:
                is_good &= measure_cluster(engine, *case)
            is_good &= measure_broadcast(engine)
    sys.exit(0 if is_good else 1)


def make_shards(number: int) -> list[Shard[int]]:
    """Returns so many shards."""
    return [Shard(name_shard(place), f"shard {place}", place) for place in range(number)]


def do_nothing() -> None:
    """What a node does before it computes."""


def wait(seconds: float, _: int) -> tuple[int, float]:
    """Takes so long and no processor: what is measured is who is given work when. Returns by whom, and when."""
    began_at = time.monotonic()
    time.sleep(seconds)
    return os.getpid(), began_at


def multiply(matrix: torch.Tensor, _: int) -> float:
    """Returns something that takes milliseconds."""
    return float((matrix @ matrix).sum())


def find_place(weights: torch.Tensor, _: int) -> tuple[int, str, int]:
    """Returns in which process the weights lie, in which file of shared memory, and where in it.

    The file has no name where they are a copy that this process has for itself.
    """
    float(weights.sum())
    address = weights.data_ptr()
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        memory, rights, offset, _device, inode, *names = line.split(maxsplit=5)
        first, end = (int(part, 16) for part in memory.split("-"))
        if first <= address < end:
            name = names[0] if rights.endswith("s") and inode != "0" else ""
            return os.getpid(), name, address - first + int(offset, 16)
    return os.getpid(), "", address


def measure_here() -> bool:
    """Tells whether the engine in this process is about as fast as a plain loop, in processor time.

    Runs of both take turns.
    """
    torch.set_num_threads(1)
    matrix, shards = torch.ones(300, 300), make_shards(100)
    ratios = []
    for _ in range(NUM_RUNS):
        plain = take_time(lambda: [multiply(matrix, shard.work) for shard in shards], time.process_time)
        here = take_time(lambda: list(map_shards(multiply, shards, matrix, LocalEngine())), time.process_time)
        ratios.append(here / plain)
    print(f"here: {median(ratios):.3f} of a plain loop (median of {NUM_RUNS}); at most {MAX_RATIO}")
    return median(ratios) <= MAX_RATIO


def measure_cluster(engine: Engine, seconds: float, number: int, least: float) -> bool:
    """Tells whether so many shards of so many seconds take about as long as on nodes that nobody has to tell.

    From when every node has begun: before, its worker starts and imports PyTorch, which is told by itself.
    """
    asked_at = time.monotonic()
    spells = list(map_shards(wait, make_shards(number), seconds, engine))
    ended_at = time.monotonic()
    ready_at = max(min(began for worker, began in spells if worker == one) for one in {worker for worker, _ in spells})
    num_since = sum(began >= ready_at for _, began in spells)
    share = seconds * num_since / NUM_NODES / (ended_at - ready_at)
    told = f"{share:.2f} of the ideal; at least {least}; {ready_at - asked_at:.1f} s until all had begun"
    print(f"Ray, {number} shards of {seconds} s: {told} ({num_since} shards since)", flush=True)
    return share >= least


def measure_broadcast(engine: Engine) -> bool:
    """Tells whether a model of 45 MB lies once on each node, in the memory that all of its processes share."""
    weights = torch.ones(MODEL_BYTES // 4)
    places = set[tuple[int, str, int]]()
    seconds = take_time(lambda: places.update(map_shards(find_place, make_shards(40), weights, engine)))
    num_own = sum(not name for _, name, _ in places)
    told = f"{len(places)} copies on {NUM_NODES} nodes, {num_own} of them a process's own"
    print(f"Ray, 45 MB, 40 shards: {seconds:.1f} s; {told}", flush=True)
    return len(places) <= NUM_NODES and not num_own


def take_time(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Returns the seconds that it takes."""
    began_at = clock()
    work()
    return clock() - began_at


@contextmanager
def run_nodes() -> Iterator[None]:
    """Runs a cluster on loopback that asks for a token."""
    os.environ |= {AUTH_VARIABLE: "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}
    os.environ[LOOPBACK_VARIABLE] = "0"
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "200")  # beside other work on a small machine
    from ray.cluster_utils import Cluster

    options = {"num_cpus": 1, "object_store_memory": 400_000_000}
    head = {**options, "node_ip_address": "127.0.0.1", "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(NUM_NODES - 1):
            cluster.add_node(**options)
        os.environ[ADDRESS_VARIABLE] = cluster.address
        yield
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
