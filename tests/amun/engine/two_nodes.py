"""A program: one job on a Ray cluster of two nodes on loopback, the second of which is killed in the middle.

    python -m tests.amun.engine.two_nodes references|search|study|shards FOLDER

Its last line says when the node was killed, and what came of the job there and here.
"""

import hashlib
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
from amun.engine.local import LocalEngine, do_nothing
from amun.engine.on_ray import ADDRESS_VARIABLE, RayEngine, read_address
from amun.engine.shards import Engine, Shard, map_shards, name_shard
from amun.evidence.wave import write_json
from amun.model.training import configure_torch
from amun.stages.adversarial import build_adversarial_set
from amun.stages.prepare import prepare
from amun.stages.references import train_references
from amun.stages.train import train
from amun.study.plan import Plan
from amun.study.preset import apply_preset
from amun.study.run import run_benchmark
from amun.study.shared import prepare_store
from amun.study.study import open_study
from amun.vault.seal import digest_files
from bench.secrets import make_secrets
from bench.seed import freeze_wave
from tests.amun.engine.nodes import run_nodes
from tests.amun.shipped import PARAMS
from tests.amun.study.small import make_preset, read_found
from tests.workspaces import ROOT

OF_REFERENCES = (AUDIT_LOGITS, AUDIT_INCLUSION, TARGET_LOGITS, TARGET_INCLUSION, TARGET_WEIGHTS)
OF_SEARCH = (ADVERSARIAL, HELD_OUT_ADVERSARIAL)
NUM_FORGET = 160
NUM_SHARDS = 60


def sum_slowly(numbers: list[int], number: int) -> int:
    """Returns a sum, after a while."""
    time.sleep(0.5)
    return sum(numbers) * number


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
        print(json.dumps(run_study(nodes.kill) if job == "study" else run_stages(STAGES[job], nodes.kill)))


def run_stages(compared: "Compared", kill: Callable[[], None]) -> dict[str, Any]:
    """Runs a stage there and here, a node of which is killed once two of its results are kept; returns what came."""
    make_workspace()
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


def make_workspace() -> None:
    """Makes what stages and studies read."""
    shutil.copytree(ROOT / CUSTOM, CUSTOM)  # a node gets it with the job
    make_secrets(Path())
    for path in (EXCLUSIONS, FORGOTTEN):
        write_json(path, [])


def run_study(kill: Callable[[], None]) -> dict[str, Any]:
    """Runs a small study there and here, a node of which is killed once two of its records are kept."""
    make_workspace()
    preset, killed_after = make_preset(), list[int]()
    found = dict[str, dict[str, str]]()
    for engine in ("ray", "local"):
        params = apply_preset(preset, shape_stages(engine))
        study = open_study("digits", params, by_subject=False, num_waves=preset.num_waves)
        prepare_store(study, configure_torch(params.runtime))
        plan = Plan(study, preset, preset.full, True, ["amun", "amun_soft"], samples_per_second=10_000)
        if engine == "ray":
            watched = (2, study.folder / "records", killed_after, kill, "*.json")
            threading.Thread(target=_kill_when, args=watched, daemon=True).start()
        run_benchmark(plan, {})
        paths = [path for path in sorted(study.folder.rglob("*")) if path.is_file()]
        found[engine] = {str(path): hashlib.sha256(repr(read_found(path)).encode()).hexdigest() for path in paths}
        shutil.rmtree(study.folder)
    num_records = sum("/records/" in path for path in found["local"])
    return {
        "was_killed_after": killed_after[0],
        "num_shards": num_records,
        "on_the_cluster": found["ray"],
        "here": found["local"],
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


def _kill_when(
    number: int, folder: Path, killed_after: list[int], kill: Callable[[], None], pattern: str = "*.parquet"
) -> None:
    """Kills once so many results are kept."""
    while (kept := len(list(folder.rglob(pattern)))) < number:
        time.sleep(0.05)
    killed_after.append(kept)
    kill()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
