"""A Ray cluster of two nodes on loopback, and a program that runs one.

    python -m tests.amun.engine.nodes

The program's first line is the cluster's address. A line that it reads kills the second node at its work (`kill`), or
adds another; it answers once that is done, and ends with its input.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil
from ray.cluster_utils import Cluster

from amun.engine.ray_job import _compute
from tasks.tools.environment import find_free_port

STORE_BYTES = 200_000_000
COMPUTE_SECONDS = 240.0  # a job starts workers of its own, which import PyTorch
# a node waits fifteen seconds to be told where these listen, which is too little on a busy machine
AGENTS = ("metrics_agent_port", "runtime_env_agent_port", "dashboard_agent_listen_port")


class TwoNodes:
    """A cluster, whose second node can be killed, and another one added.

    Attributes:
        address: of its head.
    """

    def __init__(self) -> None:
        head = {**_describe_node(), "node_ip_address": "127.0.0.1", "include_dashboard": False}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self.address: str = self._cluster.address
        self._second: Any = None

    def add(self) -> None:
        """Adds a node."""
        self._second = self._cluster.add_node(**_describe_node())

    def kill(self) -> None:
        """Kills the node that was added last."""
        self._cluster.remove_node(self._second, allow_graceful=False)

    def kill_at_work(self) -> None:
        """Kills the node that was added last once it computes: what it has under way is lost."""
        deadline = time.monotonic() + COMPUTE_SECONDS
        while not self._is_computing():
            if time.monotonic() > deadline:
                raise TimeoutError(f"the node to kill has computed nothing for {COMPUTE_SECONDS:.0f} s")
            time.sleep(0.02)
        self.kill()

    def _is_computing(self) -> bool:
        """Tells whether a worker of the second node is at a task: Ray names the process after it."""
        (raylet,) = self._second.all_processes["raylet"]
        for worker in psutil.Process(raylet.process.pid).children():
            with suppress(psutil.Error):
                if worker.cmdline()[0].startswith(f"ray::{_compute.__name__}"):
                    return True
        return False

    def end(self) -> None:
        """Ends all nodes."""
        self._cluster.shutdown()


@contextmanager
def run_nodes() -> Iterator[TwoNodes]:
    """Gives a cluster of two nodes."""
    nodes = TwoNodes()
    try:
        nodes.add()
        yield nodes
    finally:
        nodes.end()


def _describe_node() -> dict[str, Any]:
    return {"num_cpus": 1, "object_store_memory": STORE_BYTES} | {name: find_free_port() for name in AGENTS}


def main() -> None:
    """Runs the cluster."""
    with run_nodes() as nodes:
        print(nodes.address, flush=True)
        for line in sys.stdin:
            (nodes.kill_at_work if line.strip() == "kill" else nodes.add)()
            print("done", flush=True)


if __name__ == "__main__":
    main()
