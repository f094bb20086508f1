"""What a wave costs on photographs that are kept as their files, stage by stage: processor time and memory.

    python -m bench.photos --images 10000 FOLDER      nine minutes of one core, twenty on two busy ones; 0.4 GB of disk

Synthetic photos, 256 x 256 JPEG files made by seed, ten to a person, are prepared at 224 x 224 with `data.stored_as:
encoded`. A small network is trained on them for one epoch, two references likewise, and a wave forgets one sample of a
hundred. Each stage is a program of its own, as `dvc repro` starts it, and may hold `--memory-gib` of images. FOLDER
keeps what is done: said again, the command goes on where it was. The figures go to `bench/results/photos.json`.
"""

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml
from PIL import Image
from torch import nn

from amun.core.errors import InputError
from amun.core.paths import ATTEMPT, CALIBRATION, EXCLUSIONS, FORGOTTEN, PARAMS, TEST, TRAIN, WAVE
from amun.evidence.wave import Attempt, write_json
from amun.model.training import configure_torch
from amun.params import load_params
from amun.study.machine import describe_machine
from bench.secrets import make_secrets
from bench.seed import freeze_wave
from bench.wave import ROOT

SIDE, SIZE, NUM_CLASSES, PER_PERSON, FILE_ROWS = 256, 224, 10, 10, 1000
POOL = 8  # the network's first layer takes the mean of squares of so many pixels a side
QUALITY, NUM_TEXTURES = 85, 64
FORGET_SHARE = 0.01
STAGES = ("prepare", "train", "references", "power", "adversarial", "unlearn", "audit", "report")
BREATH = 0.1  # seconds between two looks at a stage's memory
SOURCE, DONE = Path("source"), Path("done.json")
CHANGES: dict[str, dict[str, Any]] = {
    "model": {"architecture": "bench.photos:build_network", "options": {"channels": [8, 8]}},
    "data": {
        "source": "parquet",
        "root": str(SOURCE),
        "options": {"key": None, "label": "label", "image": "image", "subject": "subject", "array_shape": None},
        "images": {"colour": "rgb", "size": [SIZE, SIZE], "resize": "stretch", "transparent": "white"},
        "stored_as": "encoded",
    },
    "training": {"epochs": 1, "learning_rate": 0.01},
    "references": {"num_audit": 2, "num_target": 0},
    "unlearning": {"epochs": 1, "attempts": [{"method": "amun", "learning_rate": 0.01}, {"method": "retrain"}]},
}


_TEXTURES = np.random.default_rng(0).integers(-8, 9, (NUM_TEXTURES, SIDE, SIDE, 3), dtype=np.int16)


@dataclass(frozen=True)
class Cost:
    """What a stage took.

    Attributes:
        stage: its name.
        seconds: of the processor, its copies' among them.
        wall_seconds: on the clock.
        peak_mib: the most memory that it had at once, its libraries and its copies included; shared pages count once.
    """

    stage: str
    seconds: float
    wall_seconds: float
    peak_mib: float


def main() -> None:
    """Runs what is not done yet, and prints a line for each stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where everything lies; made where it is not there")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--memory-gib", type=float, default=1.0)
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "photos.json")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    with chdir(asked.folder):
        facts = run_all(asked.images, asked.memory_gib)
    recorded = json.loads(asked.out.read_text(encoding="utf-8")) if asked.out.exists() else {}
    write_json(asked.out, recorded | {str(asked.images): facts})


def run_all(num_images: int, memory_gib: float) -> dict[str, Any]:
    """Runs the stages that are not done yet in the current folder; returns what all of them took, and where."""
    begin(num_images, memory_gib)
    params = load_params(PARAMS)
    told = describe_machine(configure_torch(params.runtime))
    print(f"{num_images:,} photos; {told}; load {os.getloadavg()[0]:.1f}", flush=True)
    asked = {"images": num_images, "memory_gib": memory_gib, "machine": told}
    done: dict[str, Any] = json.loads(DONE.read_text(encoding="utf-8")) if DONE.exists() else asked | {"stages": []}
    costs = done["stages"]
    if done != asked | {"stages": costs}:
        raise InputError(f"{Path.cwd()}: {DONE} is of other images, memory or machine; name another folder")

    for stage in STAGES[len(costs) :]:
        if stage == "power" and not WAVE.exists():
            write_json(ATTEMPT, Attempt(attempt=1))
            freeze_wave(params, round(FORGET_SHARE * num_images * params.data.train_fraction))
        cost = run_stage_program(stage)
        costs.append(asdict(cost))
        write_json(DONE, done)
        each = f"{cost.seconds / num_images * 1e3:.2f} ms an image of the set"
        print(f"{stage:>12}: {cost.peak_mib:.0f} MiB, {cost.seconds:.0f} s of the processor, {each}", flush=True)
    return {
        "machine": told,
        "memory_gib": memory_gib,
        "source_mib": round(sum(path.stat().st_size for path in SOURCE.iterdir()) / 2**20),
        "store_mib": round(sum(path.stat().st_size for path in (TRAIN, CALIBRATION, TEST)) / 2**20),
        "pixels_mib": round(num_images * 3 * SIZE**2 / 2**20),
        "stages": costs,
    }


def begin(num_images: int, memory_gib: float) -> None:
    """Makes the current folder a workspace of so many photos, unless it is one."""
    if EXCLUSIONS.exists():
        return
    SOURCE.mkdir(exist_ok=True)
    for start in range(0, num_images, FILE_ROWS):
        path = SOURCE / f"{start:09}.parquet"
        if not path.exists():
            write_photos(path, start, min(num_images, start + FILE_ROWS))
    content: dict[str, Any] = yaml.safe_load((ROOT / PARAMS).read_text(encoding="utf-8"))
    for section, changes in CHANGES.items():
        content[section] |= changes
    content["runtime"]["memory_gib"] = memory_gib
    PARAMS.write_text(yaml.safe_dump(content), encoding="utf-8")
    make_secrets(Path())
    write_json(FORGOTTEN, [])
    write_json(EXCLUSIONS, [])


def write_photos(path: Path, first: int, end: int) -> None:
    """Writes the photos of these numbers as a Parquet file of JPEG files; the same numbers give the same bytes."""
    numbers = range(first, end)
    with ThreadPoolExecutor() as pool:
        files = list(pool.map(_draw_photo, numbers))
    table = {
        "image": pa.array(files, pa.binary()),
        "label": [number % NUM_CLASSES for number in numbers],
        "subject": [f"person {number // PER_PERSON}" for number in numbers],
    }
    pq.write_table(pa.table(table), path.with_suffix(".part"), compression="none")
    path.with_suffix(".part").rename(path)


def _draw_photo(number: int) -> bytes:
    """Returns a JPEG file: soft shapes in the colours of the label, under one of a few grains."""
    random = np.random.default_rng(number)
    colours = np.random.default_rng(10**9 + number % NUM_CLASSES).integers(0, 256, (4, 4, 3))
    coarse = np.kron(colours, np.ones((4, 4, 1))) + random.normal(0, 40, (16, 16, 3))
    soft = Image.fromarray(coarse.clip(0, 255).astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    grain = _TEXTURES[int(random.integers(NUM_TEXTURES))]
    file = io.BytesIO()
    Image.fromarray((np.asarray(soft, np.int16) + grain).clip(0, 255).astype(np.uint8)).save(
        file, "JPEG", quality=QUALITY
    )
    return file.getvalue()


def build_network(num_classes: int, image_shape: tuple[int, int, int], channels: list[int]) -> nn.Module:
    """Returns a small network: means of squares of pixels, two convolutions, a linear layer."""
    first, second = channels
    layers: list[nn.Module] = [nn.AvgPool2d(POOL), nn.Conv2d(image_shape[0], first, 3, padding=1), nn.ReLU()]
    layers += [nn.Conv2d(first, second, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten()]
    num_features = nn.Sequential(*layers)(torch.zeros(1, *image_shape)).shape[1]
    return nn.Sequential(*layers, nn.Linear(num_features, num_classes))


def run_stage_program(stage: str) -> Cost:
    """Runs a stage of the current folder, as `dvc repro` starts it; returns what it took.

    Raises:
        CalledProcessError: it failed, for the reason that it has told.
    """
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", f"amun.stages.{stage}"]
    before, began_at = _count_seconds(), time.monotonic()
    peak = 0.0
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, _measure_memory(process.pid))
            time.sleep(BREATH)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(stage, round(_count_seconds() - before, 1), round(time.monotonic() - began_at, 1), round(peak, 1))


def _count_seconds() -> float:
    """Returns the processor's seconds of all programs that this one has started and that have ended."""
    took = resource.getrusage(resource.RUSAGE_CHILDREN)
    return took.ru_utime + took.ru_stime


def _measure_memory(pid: int) -> float:
    """Returns the memory of a process in MiB: at its peak where it is alone, else what it has now with its copies."""
    try:
        process = psutil.Process(pid)
        copies = process.children(recursive=True)
        shared = sum(one.memory_full_info().pss for one in (process, *copies)) / 2**20 if copies else 0.0
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except (psutil.Error, OSError):  # it has ended meanwhile
        return 0.0
    own = [int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:")]
    return max(shared, *own, 0.0)


if __name__ == "__main__":
    main()
