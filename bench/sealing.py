"""What sealing the sample store costs: each way, for each sample of 3 KB, and as a share of a training.

    python -m bench.sealing      50,000 colour images of 32 by 32 pixels; a minute on one core

Processor time of this process, the least of the rounds, sealed less in clear. The exit code is 1 unless, with ten
samples to a person, each way takes at most 30 microseconds for a sample, and reading all a hundredth of a training.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import chdir
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from amun.core.params import Params
from amun.core.paths import PARAMS, TRAIN
from amun.model.architectures import build_model
from amun.model.training import configure_torch, make_optimizer, take_step
from amun.params import load_params
from amun.store.samples import Samples, read_samples, write_samples
from amun.study.machine import describe_machine
from amun.vault.seal import Seal, open_seal
from bench.secrets import make_secrets
from bench.wave import ROOT

MAX_MICROSECONDS, MAX_SHARE = 30.0, 0.01
NUM_STEPS = 8
IMAGE = (3, 32, 32)


def main() -> None:
    """Prints the table; exits with 1 where a bound is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=50_000, help="of one store file")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    params = load_params(ROOT / PARAMS)
    print(f"{describe_machine(configure_torch(params.runtime))}; {arguments.samples} samples of {np.prod(IMAGE)} bytes")
    samples = _draw_samples(arguments.samples)
    training = _estimate_training(params, samples)
    is_kept = True
    for per_person in (10, 1):
        people = np.array([f"person-{number // per_person}" for number in range(len(samples))])
        owned = replace(samples, subject_ids=people)
        with tempfile.TemporaryDirectory() as folder, chdir(folder):
            make_secrets(Path())
            added, read_seconds = _measure_added(owned, arguments.rounds)
        share = read_seconds / training
        print(
            f"{per_person:>2} to a person: written {added[0]:.1f} us more a sample, read {added[1]:.1f} us more; "
            f"reading takes {read_seconds:.2f} s, {share:.2%} of a training of {training:.0f} s"
        )
        if per_person > 1:
            is_kept = max(added) <= MAX_MICROSECONDS and share <= MAX_SHARE
    sys.exit(0 if is_kept else 1)


def _draw_samples(num_samples: int) -> Samples:
    random = np.random.default_rng(0)
    ids = np.array([f"{number:032x}" for number in range(num_samples)])
    images = torch.from_numpy(random.integers(0, 256, (num_samples, *IMAGE), dtype=np.uint8))
    return Samples(ids, ids, torch.arange(num_samples) % 10, images)


def _measure_added(samples: Samples, num_rounds: int) -> tuple[tuple[float, float], float]:
    """Returns microseconds added to writing and to reading a sample, and the seconds of reading all sealed ones."""
    seal = open_seal(True, "bench")
    write_samples(TRAIN, samples, seal)  # who has no key yet gets one, once
    clear, sealed = (_measure(samples, each, num_rounds) for each in (None, seal))
    written, read = ((after - before) / len(samples) * 1e6 for before, after in zip(clear, sealed, strict=True))
    return (written, read), sealed[1]


def _measure(samples: Samples, seal: Seal | None, num_rounds: int) -> tuple[float, float]:
    """Returns the seconds of writing and of reading."""
    rounds = [
        (_time(lambda: write_samples(TRAIN, samples, seal)), _time(lambda: read_samples(TRAIN)))
        for _ in range(num_rounds)
    ]
    return min(written for written, _ in rounds), min(read for _, read in rounds)


def _time(run: Callable[[], object]) -> float:
    before = time.process_time()
    run()
    return time.process_time() - before


def _estimate_training(params: Params, samples: Samples) -> float:
    """Returns the processor's seconds of a training of the shipped model on these samples, from a few steps of it."""
    device = configure_torch(params.runtime)
    model = build_model(params.model, 10, IMAGE, seed=0).to(device)
    batch = samples.slice(0, params.training.batch_size)
    images, labels = batch.images.to(device), batch.labels.to(device)
    optimizer = make_optimizer(model, params.training, learning_rate=0.0, num_steps=NUM_STEPS + 1)

    def step() -> None:
        take_step(model, optimizer, images, labels, params.runtime.precision, cross_entropy)

    step()
    seconds = min(_time(step) for _ in range(NUM_STEPS))
    return seconds / len(labels) * len(samples) * params.training.epochs


if __name__ == "__main__":
    main()
