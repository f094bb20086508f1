"""What an accelerator makes of it: tests, the same bytes twice, two waves, and its speed beside this machine's CPU.

    bench/gpu.sh                   on a machine with a GPU; made for six minutes there, which nobody has measured yet
    bench/gpu.sh --device cpu      the same without one, to try the script: few images, and no test marked `gpu` runs

Parts come in this order; one that would begin after `--limit` seconds is left out, and told. A part that fails is told,
and the next one begins. Exit code 1: something was not as it must be, or was left out. 3: there is no GPU.

1. the tests marked `gpu`
2. a base of the demo's digits trained twice from one seed, in processes of their own: the same weights
3. a wave of the demo's digits: memory left must be measured, and the untouched base be refused
4. a wave of as many images as CIFAR-10 has, 32 x 32 in colour, made up of a pattern for each class and noise
5. seconds a sample of search, step and look on the device and on one thread of the CPU
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import chdir
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from amun.core.params import Params
from amun.core.paths import ATTEMPT, BASE_MODEL, UNLEARNED, WAVE_BASE
from amun.evidence.wave import Attempt, write_json
from amun.model.architectures import build_model
from amun.model.training import compute_logits, configure_torch, make_optimizer, take_step
from amun.params import check_params
from amun.search.catalogue import search_together
from amun.stages.adversarial import build_adversarial_set
from amun.stages.train import train
from amun.stages.unlearn import unlearn
from amun.study.machine import describe_machine
from bench.seed import BASE, Row, begin_wave, measure, name_attempt, prepare_store
from bench.wave import ROOT, load_demo_params
from flows.demo import NUM_SAMPLES

LIMIT_SECONDS = 330
NO_GPU = 3  # the exit code
NUM_IMAGES, NUM_ON_CPU, NUM_CLASSES, NUM_FORGET, SIDE = 50_000, 2_000, 10, 500, 32
SHAPES = {"digits": (1, 8, 8), "CIFAR-10's size": (3, SIDE, SIDE)}


def main() -> None:
    """Runs part after part; prints each with its seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--limit", type=float, default=LIMIT_SECONDS, help="seconds after which no part is begun")
    parser.add_argument("--images", type=int, help=f"of the made-up wave ({NUM_IMAGES}; {NUM_ON_CPU} on a CPU)")
    parser.add_argument("--train-only", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.device != "cpu" and not torch.cuda.is_available():
        print("bench.gpu: there is no GPU: torch.cuda.is_available() is false; --device cpu tries the script without")
        sys.exit(NO_GPU)
    params = put_on(load_demo_params(), asked.device)
    device = configure_torch(params.runtime)
    if asked.train_only:
        print(train_once(params, device))
        return
    began_at = time.monotonic()
    print(describe_machine(device), flush=True)
    num_images = asked.images or (NUM_ON_CPU if device.type == "cpu" else NUM_IMAGES)
    parts: dict[str, Callable[[], bool]] = {
        **({} if device.type == "cpu" else {"tests marked gpu": run_tests}),
        "the same bytes twice": lambda: compare_bytes(asked.device),
        "a wave of digits": lambda: run_wave(params, device, NUM_SAMPLES[0]),
        f"a wave of {num_images:,} images": lambda: run_made_up_wave(params, device, num_images),
        "speed beside the CPU": lambda: compare_speed(params, device),
    }
    failed = [name for name, part in parts.items() if not _run_part(name, part, began_at, asked.limit)]
    print("all as it must be" if not failed else f"not as it must be: {', '.join(failed)}")
    sys.exit(1 if failed else 0)


def _run_part(name: str, part: Callable[[], bool], began_at: float, limit: float) -> bool:
    """Runs a part unless it is too late; returns whether it ran and was as it must be."""
    begun = time.monotonic()
    if begun - began_at > limit:
        print(f"{name}: left out after {begun - began_at:.0f} s", flush=True)
        return False
    print(f"{name}:", flush=True)
    try:
        is_right = part()
    except Exception:  # the machine is lent for minutes: what comes after it is to be seen as well
        traceback.print_exc()
        is_right = False
    print(f"{name}: {'right' if is_right else 'WRONG'}, {time.monotonic() - begun:.1f} s", flush=True)
    return is_right


def put_on(params: Params, device: str) -> Params:
    """Returns the parameters with this device."""
    return params.model_copy(update={"runtime": params.runtime.model_copy(update={"device": device})})


def run_tests() -> bool:
    """Runs the tests that compute on a GPU; none may be skipped."""
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider", "tests/amun/gpu"]
    run = subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.PIPE, text=True)
    print(run.stdout, end="", flush=True)
    return run.returncode == 0 and " skipped" not in run.stdout


def train_once(params: Params, device: torch.device) -> str:
    """Returns the digest of a base's weights, trained in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        params = params.model_copy(update={"data": params.data.model_copy(update={"sealed": False})})
        prepare_store(params, device)
        train(params, device)
        return sha256(BASE_MODEL.read_bytes()).hexdigest()


def compare_bytes(device: str) -> bool:
    """Trains twice, each in a process of its own, and prints both digests."""
    command = [sys.executable, "-m", "bench.gpu", "--train-only", "--device", device]
    runs = [subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    digests = [run.stdout.splitlines()[-1] for run in runs]
    print("  " + "\n  ".join(digests))
    return digests[0] == digests[1]


def run_wave(params: Params, device: torch.device, num_forget: int) -> bool:
    """Runs a wave in a folder of its own; returns whether memory left was measured, and the untouched base refused.

    Of the attempts `never_seen` is made, and exact retraining.
    """
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        begin_wave(params, device, num_forget)
        build_adversarial_set(params, device)
        rows = [measure(BASE, params, device, lambda: shutil.copyfile(WAVE_BASE, UNLEARNED))]
        for number, attempt in enumerate(params.unlearning.attempts, start=1):
            if attempt.method in ("never_seen", "retrain"):
                write_json(ATTEMPT, Attempt(attempt=number))
                rows.append(measure(name_attempt(attempt), params, device, lambda: unlearn(params, device)))
    for row in rows:
        print(f"  {describe_row(row)}")
    return rows[0].memory_left is not None and not rows[0].passed


def describe_row(row: Row) -> str:
    """Returns what decides about a model, in one line."""
    left = "not measured" if row.memory_left is None else f"{row.memory_left:.2f}"
    judged = "passed" if row.passed else "refused"
    return f"{row.name}: {judged}, memory left {left}, accuracy {row.accuracy:.3f}, {row.seconds:.1f} s"


def run_made_up_wave(params: Params, device: torch.device, num_images: int) -> bool:
    """Runs a wave on made-up images, with references and epochs that take seconds on a GPU."""
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder) / "images.parquet", num_images)
        changes: dict[str, dict[str, object]] = {
            "data": {
                "source": "parquet",
                "root": folder,
                "options": {
                    "key": None,
                    "label": "label",
                    "image": "image",
                    "subject": None,
                    "array_shape": [SIDE, SIDE, 3],
                },
                "images": {"colour": "rgb", "size": [SIDE, SIDE], "resize": "refuse", "transparent": "white"},
            },
            "training": {"epochs": 8, "batch_size": 512, "learning_rate": 0.05},
            "references": {"num_audit": 6, "num_target": 2},
        }
        content = params.model_dump()
        for section, keys in changes.items():
            content[section] |= keys
        return run_wave(check_params(Params.model_validate(content)), device, min(NUM_FORGET, num_images // 20))


def write_images(path: Path, num_images: int) -> None:
    """Writes made-up images: a pattern for each class, under so much noise that some are learned by heart."""
    random = np.random.default_rng(0)
    patterns = random.integers(64, 192, (NUM_CLASSES, SIDE * SIDE * 3))
    labels = random.integers(NUM_CLASSES, size=num_images)
    images = np.clip(patterns[labels] + random.normal(0, 90, (num_images, SIDE * SIDE * 3)), 0, 255).astype(np.uint8)
    column = pa.FixedSizeListArray.from_arrays(pa.array(images.ravel()), images.shape[1])
    pq.write_table(pa.table({"label": pa.array(labels), "image": column}), path, compression="none")


def compare_speed(params: Params, device: torch.device) -> bool:
    """Prints what a sample costs here and on the CPU."""
    for name, shape in SHAPES.items():
        for where in dict.fromkeys([device, torch.device("cpu")]):
            costs = ", ".join(
                f"{work} {seconds * 1e6:.1f} us" for work, seconds in measure_units(params, shape, where).items()
            )
            print(f"  {name} on {where}: {costs} a sample")
    return True


def measure_units(params: Params, shape: tuple[int, int, int], device: torch.device) -> dict[str, float]:
    """Returns the seconds of wall clock for each sample of a step, a look without gradients, and a search."""
    size = params.training.batch_size
    model = build_model(params.model, NUM_CLASSES, shape, 0).to(device)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(4096, *shape, generator=generator).to(device)
    labels = torch.randint(NUM_CLASSES, (4096,), generator=generator).to(device)
    optimizer = make_optimizer(model, params.training, learning_rate=0.01, num_steps=1)

    def step() -> Tensor:
        return take_step(model, optimizer, images[:size], labels[:size], params.runtime.precision, cross_entropy)

    costs = {"step": time_calls(step, device) / size}
    model.eval()
    costs["look"] = time_calls(lambda: compute_logits(model, images), device) / len(images)
    own = compute_logits(model, images[:512]).argmax(1).to(device)
    costs["search"] = (
        time_calls(lambda: search_together(model, images[:512], own, params.adversarial, str), device) / 512
    )
    return costs


def time_calls(work: Callable[[], object], device: torch.device, least: float = 2.0) -> float:
    """Returns the seconds of one call, once it has been called before."""
    work()
    _synchronise(device)
    began_at, number = time.perf_counter(), 0
    while number < 2 or time.perf_counter() - began_at < least:
        work()
        _synchronise(device)
        number += 1
    return (time.perf_counter() - began_at) / number


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
