"""The stage `adversarial` as a process of its own: killed it goes on, forced it begins anew, the bytes are the same."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from amun.core.params import ModelParams, Params
from amun.core.paths import (
    ADVERSARIAL,
    ADVERSARIAL_METRICS,
    CALIBRATION,
    HELD_OUT_ADVERSARIAL,
    PARAMS,
    PARTIAL_ADVERSARIAL,
    TRAIN,
    WAVE,
    WAVE_BASE,
)
from amun.core.stage_result import FORCED_VARIABLE
from amun.evidence.wave import ForgottenWave, Wave, write_json
from amun.model.architectures import build_model
from amun.model.training import fit
from amun.model.weights import save_weights
from amun.stages.adversarial import _average
from amun.store.samples import Samples, read_samples, write_samples
from tests.amun.sealing import make_vault
from tests.amun.shipped import ROOT, load_digit_images
from tests.footers import is_sealed
from tests.warm import WarmProcess, find_process

NUM_TRAIN, NUM_FORGET, NUM_CALIBRATION = 150, 60, 100
IDS = [f"id{number:03}" for number in range(NUM_TRAIN)]
FORGET_IDS = IDS[5 : 5 + NUM_FORGET]
CALIBRATION_IDS = [f"held{number:03}" for number in range(NUM_CALIBRATION)]
GONE_IDS = CALIBRATION_IDS[10:30]
MODEL = ModelParams(name="digits", architecture="small_cnn", options={"channels": [8, 16]})
# the stage, which dies by its own hand: whoever watched it from outside might come too late
KILLED = """
import os, runpy, signal
from amun.stages.partial import PartialResults

keep = PartialResults.keep

def keep_and_die(self, samples):
    keep(self, samples)
    if self._folder.name == "found" and len(self._paths) == 3:
        os.kill(os.getpid(), signal.SIGKILL)

PartialResults.keep = keep_and_die
runpy.run_module("amun.stages.adversarial", run_name="__main__")
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, warm: WarmProcess) -> Iterator[Path]:  # noqa: ARG001
    """The current folder, with what the stage reads: a small base, training samples, a wave; batches of four.

    The stage runs in copies of the warm process, which the fixture has stand ready.
    """
    root = tmp_path_factory.mktemp("stage")
    make_vault(root)
    content: dict[str, Any] = yaml.safe_load((ROOT / PARAMS).read_text(encoding="utf-8"))
    content["model"] = MODEL.model_dump()
    content["adversarial"] |= {"search": "ddn", "batch_size": 4}
    params = Params.model_validate(content)
    (root / PARAMS).write_text(yaml.safe_dump(content), encoding="utf-8")
    digits, end = load_digit_images(), NUM_TRAIN + NUM_CALIBRATION
    images, labels = (tensor[:NUM_TRAIN] for tensor in digits)
    held_out_images, held_out_labels = (tensor[NUM_TRAIN:end] for tensor in digits)
    names, held_out_names = np.array(IDS), np.array(CALIBRATION_IDS)
    write_samples(root / TRAIN, Samples(names, names, labels, images), seal=None)
    write_samples(
        root / CALIBRATION, Samples(held_out_names, held_out_names, held_out_labels, held_out_images), seal=None
    )
    model = build_model(MODEL, 10, (1, 8, 8), seed=0)
    training = params.training.model_copy(update={"epochs": 8})
    fit(
        model,
        images,
        labels,
        optimisation=training,
        learning_rate=0.1,
        precision="float32",
        on_epoch=lambda _: None,
    )
    save_weights(root / WAVE_BASE, model)
    write_wave(root, FORGET_IDS)
    with chdir(root):
        yield root


def write_wave(root: Path, forget_ids: list[str]) -> None:
    """Writes the file of a wave that forgets these samples, and some held-out ones."""
    forgetting = ForgottenWave(number=1, subject_keys=["key"], forget_ids=forget_ids, held_out_ids=GONE_IDS)
    wave = Wave(
        number=1,
        model="digits",
        kind="deletion",
        secret_fingerprint="",
        base_version=1,
        base_digest="",
        yardstick=None,
        forgetting=forgetting,
        forgotten=[],
    )
    write_json(root / WAVE, wave)


def interpret(root: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Has Python run a module or a program in the workspace."""
    warm = find_process()
    return subprocess.run(
        [sys.executable if warm is None else warm.interpreter, *arguments],
        check=False,
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | ({} if warm is None else warm.told) | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(root: Path, **variables: str) -> str:
    """Returns what the stage says that must succeed."""
    ended = interpret(root, "-m", "amun.stages.adversarial", **variables)
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


def kill_half_way(root: Path) -> int:
    """Has the stage killed once it has kept some examples; returns how many."""
    killed = interpret(root, "-c", KILLED)
    assert killed.returncode == -signal.SIGKILL, killed.stdout
    assert not (root / ADVERSARIAL).exists()
    kept = list((root / PARTIAL_ADVERSARIAL).rglob("*.parquet"))
    assert [path for path in kept if not is_sealed(path)] == []
    return sum(len(read_samples(path)) for path in (root / PARTIAL_ADVERSARIAL).rglob("found/*.parquet"))


def test_killed_half_way_it_goes_on_to_the_same_bytes(workspace: Path) -> None:
    num_kept = kill_half_way(workspace)
    assert 0 < num_kept < NUM_FORGET
    left = NUM_FORGET - num_kept
    assert f"{left}/{left} samples" in run(workspace)
    resumed = [(workspace / path).read_bytes() for path in (ADVERSARIAL, HELD_OUT_ADVERSARIAL)]
    assert not (workspace / PARTIAL_ADVERSARIAL).exists()
    (workspace / ADVERSARIAL).unlink()
    assert f"{NUM_FORGET}/{NUM_FORGET} samples" in run(workspace)
    assert [(workspace / path).read_bytes() for path in (ADVERSARIAL, HELD_OUT_ADVERSARIAL)] == resumed
    assert is_sealed(workspace / ADVERSARIAL)
    assert read_samples(workspace / ADVERSARIAL).sample_ids.tolist() == FORGET_IDS
    metrics = json.loads((workspace / ADVERSARIAL_METRICS).read_text(encoding="utf-8"))
    deltas = read_samples(workspace / ADVERSARIAL).images - read_samples(workspace / TRAIN).align(FORGET_IDS).images
    assert metrics["mean_delta_norm"] == pytest.approx(deltas.flatten(1).norm(dim=1).mean().item())
    assert (metrics["num_forget"], metrics["num_missing"]) == (NUM_FORGET, 0)
    held_out = read_samples(workspace / HELD_OUT_ADVERSARIAL)
    assert len(held_out) == NUM_FORGET
    assert not set(held_out.sample_ids) & set(GONE_IDS)
    assert set(held_out.sample_ids) != {*CALIBRATION_IDS[:10], *CALIBRATION_IDS[30:80]}, "they are drawn"
    assert (held_out.labels != read_samples(workspace / CALIBRATION).align(held_out.sample_ids.tolist()).labels).all()


def test_a_forced_run_and_one_on_another_wave_begin_anew(workspace: Path) -> None:
    (workspace / ADVERSARIAL).unlink(missing_ok=True)
    kill_half_way(workspace)
    assert f"{NUM_FORGET}/{NUM_FORGET} samples" in run(workspace, **{FORCED_VARIABLE: "yes"})
    (workspace / ADVERSARIAL).unlink()
    kill_half_way(workspace)
    write_wave(workspace, FORGET_IDS[:50])
    assert "50/50 samples" in run(workspace)
    assert read_samples(workspace / ADVERSARIAL).sample_ids.tolist() == FORGET_IDS[:50]
    write_wave(workspace, FORGET_IDS)


def test_a_sample_without_an_example_is_counted_and_nobody_else_is_lost(workspace: Path) -> None:
    model = build_model(MODEL, 10, (1, 8, 8), seed=0)
    weights = (workspace / WAVE_BASE).read_bytes()
    torch.nn.init.zeros_(model.get_parameter("1.5.weight"))
    with torch.no_grad():
        model.get_parameter("1.5.bias").copy_(torch.arange(10) == 3)
    save_weights(workspace / WAVE_BASE, model)
    said = run(workspace)
    (workspace / WAVE_BASE).write_bytes(weights)
    labels = read_samples(workspace / TRAIN).align(FORGET_IDS).labels
    num_missing = int((labels == 3).sum())
    first = next(name for name, label in zip(FORGET_IDS, labels.tolist(), strict=True) if label == 3)
    assert f"changes the label of {num_missing} samples ({first}, " in said
    metrics = json.loads((workspace / ADVERSARIAL_METRICS).read_text(encoding="utf-8"))
    assert metrics["num_missing"] == num_missing > 0
    assert read_samples(workspace / ADVERSARIAL).labels.tolist() == [3] * (NUM_FORGET - num_missing)


def test_nobody_to_forget_is_a_file_of_no_rows(workspace: Path) -> None:
    write_wave(workspace, [])
    run(workspace)
    write_wave(workspace, FORGET_IDS)
    assert len(read_samples(workspace / ADVERSARIAL)) == len(read_samples(workspace / HELD_OUT_ADVERSARIAL)) == 0
    metrics = json.loads((workspace / ADVERSARIAL_METRICS).read_text(encoding="utf-8"))
    assert metrics == {"mean_delta_norm": None, "num_forget": 0, "num_missing": 0}


def test_mean_distance_does_not_depend_on_the_order_of_ids() -> None:
    draw = np.random.default_rng(0)
    distances, orders = draw.random(148).tolist(), [draw.permutation(148).tolist() for _ in range(50)]
    # another order comes to other last bits
    assert len({float(torch.tensor([distances[place] for place in order]).mean()) for order in orders}) > 1
    means = set()
    for order in orders:
        # other keys: the ids of the same samples stand in another order
        norms = {f"id{rank:03}": distance for rank, distance in zip(order, distances, strict=True)}
        means.add(_average(norms, sorted(norms)))
    assert means == {float(torch.tensor(distances).mean())}
