"""What `runtime.memory_format` does to a training step and to a pass over images, on the models that are shipped."""

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from amun.core.params import ModelParams, Params
from amun.core.paths import PARAMS
from amun.model.building import MEMORY_FORMATS, build_for
from amun.model.training import PASS_SIZE, compute_logits, configure_torch, make_optimizer, select_device, take_step
from amun.params import load_params
from amun.store.store import StoreShape
from amun.study.machine import describe_machine
from bench.victims import RESNET

ROOT = Path(__file__).resolve().parent.parent
Measured = dict[str, list[float]]


@dataclass(frozen=True)
class Case:
    """What is measured.

    Attributes:
        model: that is built.
        image_shape: (C, H, W).
    """

    model: ModelParams
    image_shape: tuple[int, int, int]


def measure_layouts(params: Params, case: Case, num_rounds: int) -> dict[str, Measured]:
    """Returns for a step and for a pass the milliseconds of each layout, a number for each round.

    The layouts take turns, so that a busy machine slows both.

    Args:
        params: batch size, precision and device.
        case: the model and its images.
        num_rounds: after one that does not count.
    """
    work = {name: make_work(params, case, name) for name in MEMORY_FORMATS}
    measured: dict[str, Measured] = {kind: {name: [] for name in work} for kind in ("step", "pass")}
    for number in range(num_rounds + 1):
        for name, functions in work.items():
            for kind, function in functions.items():
                milliseconds = _time(function)
                if number:
                    measured[kind][name].append(milliseconds)
    return measured


def make_work(params: Params, case: Case, memory_format: str) -> dict[str, Callable[[], object]]:
    """Returns the functions that take one step of a training batch, and one pass over `PASS_SIZE` images."""
    runtime = params.runtime.model_copy(update={"memory_format": memory_format})
    laid = params.model_copy(update={"model": case.model, "runtime": runtime})
    device = select_device(runtime)
    model = build_for(laid, StoreShape(PASS_SIZE, 10, case.image_shape), device, seed=0)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(PASS_SIZE, *case.image_shape, generator=generator).to(device)
    labels = torch.randint(10, (PASS_SIZE,), generator=generator).to(device)
    optimizer = make_optimizer(model, params.training, learning_rate=0.01, num_steps=1)
    size = params.training.batch_size
    model.train()
    return {
        "step": lambda: take_step(
            model, optimizer, images[:size], labels[:size], runtime.precision, cross_entropy
        ).tolist(),  # waits for the device
        "pass": lambda: compute_logits(model, images),
    }


def _time(function: Callable[[], object]) -> float:
    started_at = time.perf_counter()
    function()
    return 1000 * (time.perf_counter() - started_at)


def main() -> None:
    """Runs the bench on the device of `params.yaml`."""
    parser = argparse.ArgumentParser(prog="python -m bench.layout", description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    num_rounds = parser.parse_args().rounds
    params = load_params(ROOT / PARAMS)
    device = configure_torch(params.runtime)
    print(f"machine: {describe_machine(device)}; load {os.getloadavg()[0]:.1f}")
    print(
        f"milliseconds, median and quartiles of {num_rounds}: a step of {params.training.batch_size} images, "
        f"a pass over {PASS_SIZE}"
    )
    print(f"{'model':<14}{'work':<6}{'layout':<15}{'median':>8}{'quartiles':>18}{'faster':>8}")
    for case in (Case(params.model, (1, 8, 8)), Case(RESNET, (3, 32, 32))):
        for kind, measured in measure_layouts(params, case, num_rounds).items():
            first = np.median(measured["contiguous"])
            for name, milliseconds in measured.items():
                low, median, high = np.percentile(milliseconds, [25, 50, 75])
                quartiles = f"{low:.1f} to {high:.1f}"
                print(
                    f"{case.model.architecture:<14}{kind:<6}{name:<15}{median:>8.1f}{quartiles:>18}"
                    f"{first / median:>7.2f}x",
                    flush=True,
                )


if __name__ == "__main__":
    main()
