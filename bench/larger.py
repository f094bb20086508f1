"""What it costs that images need not fit into memory: time beside plain tensors, and memory by size.

    python -m bench.larger                                  both, up to 100,000 images; five minutes on one core
    python -m bench.larger --sizes 10000 100000 1000000     the last takes half an hour, and 3 GB of disk

*Time*: an epoch on images of the digits' shape and of CIFAR-10's, where they are one tensor of floats, bytes in memory,
sealed on disk, or sealed with each batch opened only when its turn has come. The four take turns; told are the medians
of processor time of this process and of wall clock, and of their ratios to the tensor's. The exit code is 1 where
images in memory take more than 1.05 of the tensor's processor time.

*Memory*: the stage `train`, one epoch of a tiny network on made-up images of 32 x 32 in colour, ten to a person, in a
process of its own which may hold `--memory-gib` of images. A third size is foreseen by the line through the two before.
What was measured goes to `bench/results/larger.json`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import chdir
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from amun.core.params import Params
from amun.core.paths import CALIBRATION, FORGOTTEN, PARAMS, TRAIN
from amun.evidence.wave import write_json
from amun.model.architectures import build_model
from amun.model.training import configure_torch, fit
from amun.params import load_params
from amun.stages.train import train
from amun.store.image_sets import AnyImages, ChosenImages
from amun.store.opening import SampleOpener
from amun.store.samples import Samples, SampleWriter
from amun.study.machine import describe_machine
from amun.vault.seal import open_seal
from bench.secrets import make_secrets
from bench.wave import ROOT

MAX_RATIO = 1.05  # of a plain tensor
DIGITS, COLOUR = (1, 8, 8), (3, 32, 32)
NUM_IMAGES, NUM_ROUNDS, PER_PERSON, PART = 2_048, 7, 10, 5_000
SIZES = (10_000, 30_000, 100_000)
MEMORY_GIB = 0.01
TINY = {"channels": [4, 4]}


@dataclass(frozen=True)
class Cost:
    """What the stage took: memory at its peak, less what the process had with its libraries, and of the processor."""

    mebibytes: float
    seconds: float


def main() -> None:
    """Prints both tables; exits with 1 where images in memory are slower than may be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="of the training split, ascending")
    parser.add_argument("--memory-gib", type=float, default=MEMORY_GIB)
    parser.add_argument("--rounds", type=int, default=NUM_ROUNDS, help="of the comparison of time; 0 leaves it out")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "larger.json")
    parser.add_argument("--stage", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    params = load_params(ROOT / PARAMS)
    device = configure_torch(params.runtime)
    if asked.stage:
        print(json.dumps(asdict(run_stage(params, asked.memory_gib, device))))
        return
    print(f"{describe_machine(device)}; load {os.getloadavg()[0]:.1f}", flush=True)
    is_good = not asked.rounds or all(compare_time(params, shape, asked.rounds) for shape in (DIGITS, COLOUR))
    measure_sizes(asked.sizes, asked.memory_gib, asked.out.resolve(), describe_machine(device))
    sys.exit(0 if is_good else 1)


def compare_time(params: Params, shape: tuple[int, int, int], num_rounds: int) -> bool:
    """Prints what an epoch takes in each way; returns whether images in memory keep to the bound."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        make_secrets(Path())
        write_store(TRAIN, NUM_IMAGES, shape)
        held, sealed = (
            SampleOpener(limit_memory(params, gib).runtime, torch.device("cpu")).open(TRAIN) for gib in (1.0, 0.0)
        )
        ways: dict[str, AnyImages] = {
            "a tensor": held.images.read_all(),
            "in memory": held.images,
            "sealed on disk": sealed.images,
            "sealed, none opened ahead": InTurn(sealed.images, torch.arange(NUM_IMAGES)),
        }
        rounds = [[time_epoch(params, shape, way, held.labels) for way in ways.values()] for _ in range(num_rounds)]
    for place, way in enumerate(ways):
        told = []
        for clock, name in enumerate(("processor", "wall")):
            microseconds = median(took[place][clock] for took in rounds) / NUM_IMAGES * 1e6
            ratio = median(took[place][clock] / took[0][clock] for took in rounds)
            told.append(f"{name} {microseconds:.0f} us a sample, {ratio:.3f} of a tensor")
        print(f"{shape}, {way}: {'; '.join(told)}", flush=True)
    return median(took[1][0] / took[0][0] for took in rounds) <= MAX_RATIO


class InTurn(ChosenImages):
    """Images of which each batch is opened only when its turn has come."""

    is_slow = False


def time_epoch(params: Params, shape: tuple[int, int, int], images: AnyImages, labels: Tensor) -> tuple[float, float]:
    """Returns the seconds of an epoch of the shipped network: the processor's, and those of the clock."""
    model, training = build_model(params.model, 10, shape, seed=0), params.training.model_copy(update={"epochs": 1})
    before, began_at = time.process_time(), time.monotonic()
    fit(model, images, labels, optimisation=training, learning_rate=0.01, precision="float32", on_epoch=lambda _: None)
    return time.process_time() - before, time.monotonic() - began_at


def measure_sizes(sizes: list[int], memory_gib: float, out: Path, machine: str) -> None:
    """Prints what the stage takes at each size, beside what was foreseen of it, and writes both to a file."""
    known: list[tuple[int, Cost]] = []
    told: list[dict[str, Any]] = []
    for size in sizes:
        foreseen = foresee(size, known[-2:]) if len(known) > 1 else None
        if foreseen is not None:
            print(f"{size:>9,} images: foreseen {foreseen.mebibytes:.0f} MiB, {foreseen.seconds:.1f} s", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            with chdir(folder):
                make_secrets(Path())
                write_json(FORGOTTEN, [])
                write_store(TRAIN, size, COLOUR)
                write_store(CALIBRATION, 1_000, COLOUR)
            command = [sys.executable, "-m", "bench.larger", "--stage", "--memory-gib", str(memory_gib)]
            path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
            ran = subprocess.run(
                command, cwd=folder, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=True
            )
        cost = Cost(**json.loads(ran.stdout.splitlines()[-1]))
        known.append((size, cost))
        took = f"{cost.mebibytes:.0f} MiB, {cost.seconds:.1f} s, {cost.seconds / size * 1e6:.0f} us a sample"
        print(f"{size:>9,} images: {took}; as floats they are {size * 4 * np.prod(COLOUR) / 2**20:.0f} MiB", flush=True)
        told.append(
            {"images": size, "measured": asdict(cost), "foreseen": None if foreseen is None else asdict(foreseen)}
        )
        write_json(out, {"machine": machine, "memory_gib": memory_gib, "sizes": told})


def foresee(size: int, known: list[tuple[int, Cost]]) -> Cost:
    """Returns what the straight line through two sizes says of a third."""
    (first, cheap), (second, dear) = known
    share = (size - second) / (second - first)
    mebibytes, seconds = dear.mebibytes - cheap.mebibytes, dear.seconds - cheap.seconds
    return Cost(dear.mebibytes + share * mebibytes, dear.seconds + share * seconds)


def run_stage(params: Params, memory_gib: float, device: torch.device) -> Cost:
    """Returns what training in the current folder takes this process."""
    tiny = params.model.model_copy(update={"options": TINY})
    training = params.training.model_copy(update={"epochs": 1, "fallback_gradient_norm": None})
    had, before = read_memory("VmRSS"), time.process_time()
    train(limit_memory(params, memory_gib).model_copy(update={"model": tiny, "training": training}), device)
    seconds = time.process_time() - before
    return Cost(read_memory("VmHWM") - had, seconds)


def read_memory(name: str) -> float:
    """Returns what Linux tells of this process's memory, in MiB; `getrusage` begins with the peak of the parent."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (kibibytes,) = (line.split()[1] for line in status.splitlines() if line.startswith(f"{name}:"))
    return int(kibibytes) / 1024


def limit_memory(params: Params, memory_gib: float) -> Params:
    """Returns the parameters of stages that may hold so much of images."""
    return params.model_copy(update={"runtime": params.runtime.model_copy(update={"memory_gib": memory_gib})})


def write_store(path: Path, num_images: int, shape: tuple[int, int, int]) -> None:
    """Writes a sealed store file of noise in ten classes, some people's at a time."""
    writer = SampleWriter(path, open_seal(True, "bench"))
    random = np.random.default_rng(0)
    for start in range(0, num_images, PART):
        numbers = np.arange(start, min(num_images, start + PART))
        ids = np.array([f"{path.stem:.16}{number:016x}" for number in numbers])
        people = np.array([f"{path.stem} {number // PER_PERSON}" for number in numbers])
        pixels = random.integers(0, 256, (len(numbers), *shape), dtype=np.uint8)
        writer.append(Samples(ids, people, torch.from_numpy(numbers % 10), torch.from_numpy(pixels)))
    writer.finish()


if __name__ == "__main__":
    main()
