"""What the stage `adversarial` costs for each sample, and the largest its process gets, for more and more samples."""

import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import Tensor, nn

from amun.core.errors import AmunError
from amun.core.params import Params
from amun.core.paths import CALIBRATION, PARAMS, TRAIN, WAVE, WAVE_BASE
from amun.evidence.wave import ForgottenWave, Wave, write_json
from amun.model.architectures import build_model
from amun.model.training import compute_logits, configure_torch, fit
from amun.model.weights import save_weights
from amun.params import load_params
from amun.store.samples import Samples, write_samples
from amun.study.cost import read_peak_mib
from amun.study.machine import describe_machine
from bench.secrets import make_secrets
from bench.victims import load_cifar10

ROOT = Path(__file__).resolve().parent.parent
NUM_SAMPLES = (0, 100, 1000, 10000)  # none: what starting costs
SEARCH = "adaptive_boundary"
POLL_SECONDS = 0.05
NUM_TRAINED, NUM_EPOCHS, CHANNELS = 2000, 4, [8, 16]


@dataclass(frozen=True)
class FlatRow:
    """What a run of the stage cost.

    Attributes:
        search: that it ran.
        num_samples: to forget.
        cpu_seconds: of the process, its start included.
        peak_mib: the largest that the process was.
    """

    search: str
    num_samples: int
    cpu_seconds: float
    peak_mib: float


def run_flat_bench(root: Path, out: Path) -> None:
    """Measures a search on a small CNN for CIFAR-10 images, prints and writes the rows.

    Args:
        root: of CIFAR-10.
        out: JSON file.
    """
    params = _choose_model_and_search(load_params(ROOT / PARAMS))
    device = configure_torch(params.runtime)
    images, labels = load_cifar10(root, max(NUM_SAMPLES))
    model = _train(params, images[:NUM_TRAINED].to(device), labels[:NUM_TRAINED].to(device))
    labels = compute_logits(model, images.to(device)).argmax(1)  # its own, so that none is wrong from the start
    machine = describe_machine(device)
    print(f"machine: {machine}\n{'samples':>10}{'cpu ms a sample':>18}{'peak MiB':>10}", flush=True)
    rows: list[FlatRow] = []
    for num_samples in NUM_SAMPLES:
        with tempfile.TemporaryDirectory() as folder:
            _write_workspace(Path(folder), params, images[:num_samples], labels[:num_samples], model)
            rows.append(FlatRow(params.adversarial.search, num_samples, *_run_stage(Path(folder))))
        added_ms = 1000 * (rows[-1].cpu_seconds - rows[0].cpu_seconds) / max(1, num_samples)
        print(f"{num_samples:>10}{added_ms:>18.3f}{rows[-1].peak_mib:>10.0f}", flush=True)
    write_json(out, {"machine": machine, "rows": [asdict(row) for row in rows]})


def _choose_model_and_search(params: Params) -> Params:
    model = params.model.model_copy(update={"options": {"channels": CHANNELS}})
    adversarial = params.adversarial.model_copy(update={"search": SEARCH})
    return params.model_copy(update={"model": model, "adversarial": adversarial})


def _train(params: Params, images: Tensor, labels: Tensor) -> nn.Module:
    model = build_model(params.model, 10, (3, 32, 32), params.training.seed).to(images.device)
    fit(
        model,
        images,
        labels,
        optimisation=params.training.model_copy(update={"epochs": NUM_EPOCHS}),
        learning_rate=params.training.learning_rate,
        precision=params.runtime.precision,
        on_epoch=lambda _: None,
    )
    return model


def _write_workspace(root: Path, params: Params, images: Tensor, labels: Tensor, model: nn.Module) -> None:
    """Writes what the stage reads: parameters, the training samples, a wave that forgets them all, the base."""
    names = np.array([f"id{number:05}" for number in range(max(1, len(images)))])
    forgetting = ForgottenWave(number=1, subject_keys=[], forget_ids=names[: len(images)].tolist(), held_out_ids=[])
    wave = Wave(
        number=1,
        model=params.model.name,
        kind="deletion",
        secret_fingerprint="",
        base_version=1,
        base_digest="",
        yardstick=None,
        forgetting=forgetting,
        forgotten=[],
    )
    if not len(images):  # a store of no training sample is none
        images, labels = torch.zeros(1, 3, 32, 32), torch.full((1,), 9)
    make_secrets(root)
    (root / PARAMS).write_text(yaml.safe_dump(params.model_dump()), encoding="utf-8")
    write_samples(root / TRAIN, Samples(names, names, labels, (255 * images).round().to(torch.uint8)), seal=None)
    # too few held-out samples for the gate to look at: the search for those to forget is measured alone
    held_out = np.array(["held out"])
    write_samples(root / CALIBRATION, Samples(held_out, held_out, labels[:1], torch.zeros(1, 3, 32, 32)), seal=None)
    write_json(root / WAVE, wave)
    save_weights(root / WAVE_BASE, model)


def _run_stage(root: Path) -> tuple[float, float]:
    """Returns the processor's seconds and the largest memory in MiB of the stage in a process of its own."""
    command = [sys.executable, "-m", "amun.stages.adversarial"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(command, cwd=root, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)
    peak_mib = 0.0
    while process.poll() is None:
        # not the child's ru_maxrss: it begins at what this process holds
        peak_mib = max(peak_mib, read_peak_mib(str(process.pid)))
        time.sleep(POLL_SECONDS)
    if process.returncode:
        raise AmunError(f"the stage ended with exit code {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, peak_mib
