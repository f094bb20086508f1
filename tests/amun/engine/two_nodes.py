"""A program: one job on a Ray cluster of two nodes on loopback, the second of which is killed in the middle.

    python -m tests.amun.engine.two_nodes references|shards FOLDER

Its last line says when the node was killed, and what came of the job there and here.
"""

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

from ray.cluster_utils import Cluster

from amun.core.params import Params
from amun.core.paths import (
    AUDIT_INCLUSION,
    AUDIT_LOGITS,
    CUSTOM,
    EXCLUSIONS,
    FORGOTTEN,
    PARTIAL_REFERENCES,
    TARGET_INCLUSION,
    TARGET_LOGITS,
    TARGET_WEIGHTS,
)
from amun.engine.local import LocalEngine
from amun.engine.on_ray import ADDRESS_VARIABLE, RayEngine, read_address
from amun.engine.shards import Engine, Shard, map_shards, name_shard
from amun.evidence.wave import write_json
from amun.model.training import configure_torch
from amun.stages.prepare import prepare
from amun.stages.references import train_references
from amun.vault.seal import digest_files
from bench.secrets import make_secrets
from tests.amun.shipped import PARAMS
from tests.workspaces import ROOT

OUTPUTS = (AUDIT_LOGITS, AUDIT_INCLUSION, TARGET_LOGITS, TARGET_INCLUSION, TARGET_WEIGHTS)
NUM_SHARDS = 60
STORE_BYTES = 200_000_000


@contextmanager
def run_nodes() -> Iterator[Callable[[], None]]:
    """Gives what kills the second of two nodes."""
    options = {"num_cpus": 1, "node_ip_address": "127.0.0.1", "object_store_memory": STORE_BYTES}
    cluster = Cluster(initialize_head=True, head_node_args={**options, "include_dashboard": False})
    try:
        second = cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
        os.environ[ADDRESS_VARIABLE] = cluster.address
        yield lambda: cluster.remove_node(second, allow_graceful=False)
    finally:
        cluster.shutdown()


def sum_slowly(numbers: list[int], number: int) -> int:
    """Returns a sum, after a while."""
    time.sleep(0.5)
    return sum(numbers) * number


def do_nothing() -> None:
    """What a node does before it computes."""


def run_shards(engine: Engine, on_result: Callable[[], None]) -> list[int]:
    """Returns the sums of all shards."""
    shards = [Shard(name_shard(number), f"number {number}", number) for number in range(NUM_SHARDS)]
    sums = []
    for result in map_shards(sum_slowly, shards, list(range(1000)), engine):
        sums.append(result)
        on_result()
    return sums


def shape_references(engine: str) -> Params:
    """Returns parameters of a few references, which take seconds each."""
    return PARAMS.model_copy(
        update={
            "training": PARAMS.training.model_copy(update={"epochs": 3}),
            "references": PARAMS.references.model_copy(update={"num_audit": 6, "num_target": 2}),
            "runtime": PARAMS.runtime.model_copy(update={"device": "cpu", "engine": engine}),
        }
    )


def main(job: str, folder: Path) -> None:
    """Runs the job there and here."""
    done, killed_after = [0], list[int]()
    with chdir(folder), run_nodes() as kill:

        def note() -> None:
            done[0] += 1
            if done[0] == 3:
                killed_after.append(done[0])
                threading.Thread(target=kill).start()

        if job == "shards":
            engine = RayEngine(read_address(), do_nothing)
            there, here = run_shards(engine, note), run_shards(LocalEngine(), lambda: None)
            print(json.dumps({"was_killed_after": 3, "num_shards": NUM_SHARDS, "on_the_cluster": there, "here": here}))
            return
        shutil.copytree(ROOT / CUSTOM, CUSTOM)  # a node gets it with the job
        make_secrets(Path())
        for path in (EXCLUSIONS, FORGOTTEN):
            write_json(path, [])
        local, on_ray = shape_references("local"), shape_references("ray")
        device = configure_torch(local.runtime)
        prepare(local, device)
        watcher = threading.Thread(target=_kill_when, args=(2, killed_after, kill), daemon=True)
        watcher.start()
        train_references(on_ray, device)
        there_digests = digest_files(OUTPUTS)
        train_references(local, device)
        told = {
            "was_killed_after": killed_after[0],
            "num_shards": 8,
            "on_the_cluster": there_digests,
            "here": digest_files(OUTPUTS),
        }
        print(json.dumps(told))


def _kill_when(number: int, killed_after: list[int], kill: Callable[[], None]) -> None:
    """Kills once so many references are kept."""
    while (kept := len(list(PARTIAL_REFERENCES.rglob("*.parquet")))) < number:
        time.sleep(0.05)
    killed_after.append(kept)
    kill()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
