"""A program: one job on a Ray cluster of two nodes on loopback, the second of which is killed in the middle.

    python -m tests.amun.engine.two_nodes references|search|shards FOLDER

Its last line says when the node was killed, and what came of the job there and here.
"""

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from amun.core.params import Params
from amun.core.paths import (
    ADVERSARIAL,
    AUDIT_INCLUSION,
    AUDIT_LOGITS,
    CUSTOM,
    EXCLUSIONS,
    FORGOTTEN,
    HELD_OUT_ADVERSARIAL,
    PARTIAL_ADVERSARIAL,
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
from amun.stages.adversarial import build_adversarial_set
from amun.stages.prepare import prepare
from amun.stages.references import train_references
from amun.stages.train import train
from amun.vault.seal import digest_files
from bench.secrets import make_secrets
from bench.seed import freeze_wave
from tests.amun.engine.nodes import run_nodes
from tests.amun.shipped import PARAMS
from tests.workspaces import ROOT

OF_REFERENCES = (AUDIT_LOGITS, AUDIT_INCLUSION, TARGET_LOGITS, TARGET_INCLUSION, TARGET_WEIGHTS)
OF_SEARCH = (ADVERSARIAL, HELD_OUT_ADVERSARIAL)
NUM_FORGET = 160
NUM_SHARDS = 60


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


def shape_stages(engine: str) -> Params:
    """Returns parameters of a few references, which take seconds each, and of a search that takes long."""
    return PARAMS.model_copy(
        update={
            "training": PARAMS.training.model_copy(update={"epochs": 3}),
            "references": PARAMS.references.model_copy(update={"num_audit": 6, "num_target": 2}),
            "adversarial": PARAMS.adversarial.model_copy(update={"batch_size": 4}),
            "runtime": PARAMS.runtime.model_copy(update={"device": "cpu", "engine": engine}),
        }
    )


def main(job: str, folder: Path) -> None:
    """Runs the job there and here."""
    done = [0]
    with chdir(folder), run_nodes() as nodes:
        os.environ[ADDRESS_VARIABLE] = nodes.address

        def note() -> None:
            done[0] += 1
            if done[0] == 3:
                threading.Thread(target=nodes.kill).start()

        if job == "shards":
            engine = RayEngine(read_address(), do_nothing)
            there, here = run_shards(engine, note), run_shards(LocalEngine(), lambda: None)
            print(json.dumps({"was_killed_after": 3, "num_shards": NUM_SHARDS, "on_the_cluster": there, "here": here}))
            return
        print(json.dumps(run_stages(STAGES[job], nodes.kill)))


def run_stages(compared: "Compared", kill: Callable[[], None]) -> dict[str, Any]:
    """Runs a stage there and here, a node of which is killed once two of its results are kept; returns what came."""
    shutil.copytree(ROOT / CUSTOM, CUSTOM)  # a node gets it with the job
    make_secrets(Path())
    for path in (EXCLUSIONS, FORGOTTEN):
        write_json(path, [])
    local, on_ray = shape_stages("local"), shape_stages("ray")
    device, killed_after = configure_torch(local.runtime), list[int]()
    prepare(local, device)
    compared.prepare(local, device)
    watcher = threading.Thread(target=_kill_when, args=(2, compared.partial, killed_after, kill), daemon=True)
    watcher.start()
    compared.run(on_ray, device)
    there_digests = digest_files(compared.outputs)
    compared.run(local, device)
    return {
        "was_killed_after": killed_after[0],
        "num_shards": compared.num_results,
        "on_the_cluster": there_digests,
        "here": digest_files(compared.outputs),
    }


def build_base(params: Params, device: torch.device) -> None:
    """Trains a base, and has a wave forget some hundreds of its training samples."""
    train(params, device)
    freeze_wave(params, NUM_FORGET)


@dataclass(frozen=True)
class Compared:
    """A stage that is run on the cluster and here.

    Attributes:
        run: the stage.
        prepare: makes what it reads, once the samples are there.
        partial: where it keeps what is done.
        num_results: that it keeps in all, at least.
        outputs: that are to be the same.
    """

    run: Callable[[Params, torch.device], object]
    prepare: Callable[[Params, torch.device], None]
    partial: Path
    num_results: int
    outputs: tuple[Path, ...]


STAGES = {
    "references": Compared(train_references, lambda _, __: None, PARTIAL_REFERENCES, 8, OF_REFERENCES),
    "search": Compared(build_adversarial_set, build_base, PARTIAL_ADVERSARIAL, NUM_FORGET // 16, OF_SEARCH),
}


def _kill_when(number: int, folder: Path, killed_after: list[int], kill: Callable[[], None]) -> None:
    """Kills once so many results are kept."""
    while (kept := len(list(folder.rglob("*.parquet")))) < number:
        time.sleep(0.05)
    killed_after.append(kept)
    kill()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
