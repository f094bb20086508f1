"""How long 50,000 images take to come in, and how much memory: as Parquet files, and as a folder of as many files.

    python -m bench.sources --root ../shared/data/cifar10

Each is measured in a process of its own, in a temporary workspace: what `amun init` does before it creates anything
(the listing, every image's header), then the stage `prepare`, as DVC starts it. The peak is of the process's resident
memory, PyTorch's libraries included.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
import yaml
from PIL import Image

from amun.core.paths import EXCLUSIONS, PARAMS
from amun.evidence.wave import write_json
from amun.params import load_params
from amun.store.images import check_images
from amun.store.sources.catalogue import list_source
from amun.study.machine import describe_machine
from bench.secrets import make_secrets

ROOT = Path(__file__).resolve().parent.parent
IMAGES = {"colour": "rgb", "size": [32, 32], "resize": "refuse", "transparent": "white"}
GIB = 2**20  # in the KiB that the kernel counts


def main() -> None:
    """Measures both kinds of source and prints a line for each step."""
    parser = argparse.ArgumentParser(prog="python -m bench.sources")
    parser.add_argument("--root", type=Path, default=ROOT.parent / "shared/data/cifar10", help="of train.parquet")
    parser.add_argument("--inspect", action="store_true", help="only list the source and read the headers, here")
    options = parser.parse_args()
    if options.inspect:
        inspect()
        return
    file = (options.root / "train.parquet").resolve()
    if not file.exists():
        print(f"skipped: no {file}; name the folder of CIFAR-10 with --root")
        return
    print(f"machine: {describe_machine(torch.device('cpu'))}, load average {os.getloadavg()[0]:.1f} before", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "parquet").mkdir()
        (Path(folder) / "parquet/train.parquet").symlink_to(file)
        measure("cifar10", Path(folder) / "parquet", Path(folder) / "first")
        write_folder(file, Path(folder) / "images")
        measure("folder", Path(folder) / "images", Path(folder) / "second")


def write_folder(file: Path, folder: Path) -> None:
    """Writes every row of a Parquet file as an image file, and invents a subject for each five."""
    subjects = ["path,subject\n"]
    rows = pq.read_table(file, columns=["label", "image"])
    for number, (label, content) in enumerate(zip(*(column.to_pylist() for column in rows.columns), strict=True)):
        kind = Image.open(io.BytesIO(content)).format or "img"
        path = Path(str(label)) / f"{number:05}.{kind.lower()}"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
        subjects.append(f"{path},person-{number // 5:05}\n")
    (folder / "subjects.csv").write_text("".join(subjects), encoding="utf-8")


def measure(source: str, root: Path, workspace: Path) -> None:
    """Prints seconds and peak memory of the two steps for one source."""
    workspace.mkdir()
    params: dict[str, Any] = yaml.safe_load((ROOT / PARAMS).read_text(encoding="utf-8"))
    params["data"] |= {"source": source, "root": str(root), "options": {}, "images": IMAGES}
    (workspace / PARAMS).write_text(yaml.safe_dump(params), encoding="utf-8")
    make_secrets(workspace)
    write_json(workspace / EXCLUSIONS, [])
    for step, command in (("inspect", ["bench.sources", "--inspect"]), ("prepare", ["amun.stages.prepare"])):
        seconds, peak = run_step(workspace, command)
        print(f"{source:<8} {step}: {seconds:6.1f} s, at most {peak:.2f} GiB", flush=True)
    metrics = json.loads((workspace / "metrics/prepare.json").read_text(encoding="utf-8"))
    print(
        f"{source:<8} {sum(metrics[f'num_{split}'] for split in ('train', 'calibration', 'test'))} samples", flush=True
    )


def run_step(workspace: Path, command: list[str]) -> tuple[float, float]:
    """Returns the seconds of wall clock and the GiB of resident memory that a module took, imports included."""
    started_at = time.monotonic()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-m", *command], cwd=workspace, env=environment, stdout=sys.stderr)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return time.monotonic() - started_at, usage.ru_maxrss / GIB


def inspect() -> None:
    """Lists the source of the workspace in the current folder and reads every image's header."""
    data = load_params(PARAMS).data
    listing = list_source(data.source, None if data.root is None else Path(data.root), data.options)
    check_images(listing, data.images)


if __name__ == "__main__":
    main()
