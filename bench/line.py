"""A line of nights: what the newest model remembers of everybody forgotten so far, beside exact retraining.

    python -m bench.line --source digits     five waves of 60 people
    python -m bench.line --source cifar10    ten waves of 75 people, 5,000 training images

Each wave starts from the model of the one before and forgets other people, with the attempts and the gate of
`params.yaml`: an attempt that is refused, or a night that can show nothing, is retrained exactly. A second line keeps
the first attempt, whatever the gate says of it. Memory left is that of all who have gone so far, as a share of what the
first base had, by the held-out people of both halves; 0 is what references show that never had them. Models that are
really retrained without these people stand beside it. Recorded results are in `bench/results/`; `bench.line_picture`
draws them.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import chdir, redirect_stdout
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch

from amun.audit.decision import decide
from amun.audit.night import read_night
from amun.core.errors import AttemptError
from amun.core.params import AttemptParams, Params
from amun.core.paths import ATTEMPT, BASE_MODEL, PARAMS, UNLEARNED
from amun.evidence.figures import AuditFigures, TrainFigures, read_figures
from amun.evidence.wave import Attempt, ForgottenWave, Wave, read_wave, write_json
from amun.methods.retrain import retrain
from amun.model.training import configure_torch
from amun.params import load_params
from amun.selftest.ground import draw_people
from amun.selftest.verdicts import APPROXIMATE
from amun.stages.adversarial import build_adversarial_set
from amun.stages.audit import audit
from amun.stages.power import measure_power
from amun.stages.references import train_references
from amun.stages.train import train
from amun.stages.unlearn import pose_problem, unlearn
from amun.study.machine import describe_machine
from bench.remembered import Meter, Remembered
from bench.seed import Yardstick, freeze_next, name_attempt, prepare_store
from bench.wave import ROOT, load_bench_params, load_demo_params, set_seed

FIRST_SEED = 700  # of the models that are retrained beside the line
NUM_CIFAR10 = 10_000  # images, of which half are trained on
SIZES = {"digits": (5, 60), "cifar10": (10, 75)}  # waves, and people who ask in each
NUM_EXACT, EXACT_AT = 3, (5, 10)  # models beside a wave, and beside which


@dataclass(frozen=True)
class Night:
    """What stands after one wave of the line.

    Attributes:
        number: of the wave.
        method: that made the model.
        reason: what the gate said of the first attempt, or why it was not made; empty where it passed.
        num_gone: people forgotten so far.
        num_left: images that are left to train on.
        accuracy: of the model, 0 to 1, on the test samples.
        everybody: of all who have gone so far, in the model.
        first: of those of the first wave.
    """

    number: int
    method: str
    reason: str
    num_gone: int
    num_left: int
    accuracy: float
    everybody: Remembered
    first: Remembered


@dataclass(frozen=True)
class Exact:
    """A model that was retrained beside a wave.

    Attributes:
        number: of the wave.
        accuracy: 0 to 1, on the test samples.
        everybody: of all who have gone so far, in the model.
    """

    number: int
    accuracy: float
    everybody: Remembered


def main() -> None:
    """Runs the bench."""
    options = _read_options()
    source, (num_waves, num_people) = options.source, SIZES[options.source]
    params = set_seed(load_line_params(source, options.root.resolve()), options.seed)
    device = configure_torch(params.runtime)
    content: dict[str, Any] = {"source": source, "seed": options.seed, "machine": describe_machine(device)}
    out = options.out or ROOT / "bench" / "results" / f"{source}_line.json"
    out = out.resolve()
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        with redirect_stdout(sys.stderr):
            prepare_store(params, device)
            train(params, device)
            train_references(params, device)
        people = draw_people(options.seed)[: num_waves * num_people]
        asking = [people[start : start + num_people] for start in range(0, len(people), num_people)]
        meter = Meter(params, device)
        for name, is_gated in (("as_shipped", True), ("first_attempt", False)):
            print(f"{name}:", flush=True)
            content[name] = []
            for night in run_line(params, device, meter, asking, is_gated=is_gated):
                content[name].append(asdict(night))
                write_json(out, content)
        content["exact"] = [asdict(exact) for exact in retrain_beside(params, device, meter, EXACT_AT)]
        write_json(out, content)


def load_line_params(source: str, data_root: Path) -> Params:
    """Returns the parameters of the demo, or those of the bench on CIFAR-10, with the attempts of `params.yaml`."""
    params = load_demo_params() if source == "digits" else load_bench_params(source, data_root)
    attempts = load_params(ROOT / PARAMS).unlearning.attempts
    data = params.data
    if source == "cifar10":
        data = data.model_copy(update={"num_samples": NUM_CIFAR10, "subject_max_samples": 5})
    unlearning = params.unlearning.model_copy(update={"attempts": attempts})
    return params.model_copy(update={"data": data, "unlearning": unlearning})


def run_line(
    params: Params, device: torch.device, meter: Meter, asking: Sequence[Sequence[str]], *, is_gated: bool
) -> Iterator[Night]:
    """Yields what stands after each wave of the current folder's base, and prints it.

    Args:
        params: with a seed.
        device: to compute on.
        meter: of the base.
        asking: who asks in each wave.
        is_gated: an attempt has to pass the gate; otherwise the first one is kept, whatever the gate says of it.
    """
    base, forgotten = BASE_MODEL, list[ForgottenWave]()
    yardstick = Yardstick(read_figures(TrainFigures).calibration_accuracy, 0)
    for number, people in enumerate(asking, 1):
        with redirect_stdout(sys.stderr):
            wave = freeze_next(params, base, people, forgotten, yardstick)
            attempt, reason = make_wave(params, device, is_gated=is_gated)
        if attempt.is_exact:
            yardstick = Yardstick(read_figures(AuditFigures).accuracy or 0.0, number)
        base, forgotten = UNLEARNED, [*wave.forgotten, wave.forgetting]
        night = measure_night(meter, wave, attempt, reason)
        print_night(night)
        yield night


def make_wave(params: Params, device: torch.device, *, is_gated: bool) -> tuple[AttemptParams, str]:
    """Makes the current wave's unlearned model; returns the attempt and why the first one was not kept, if it was not.

    As a night does: an attempt has to pass the gate, and where the night can show nothing only exact ones are made.
    """
    measure_power(params, device)
    build_adversarial_set(params, device)
    night, reason = read_night(), ""
    for number, attempt in enumerate(params.unlearning.attempts, 1):
        if is_gated and night.insufficient and not attempt.is_exact:
            reason = reason or night.insufficient
            continue
        write_json(ATTEMPT, Attempt(attempt=number))
        unlearn(params, device)
        audit(params, device)
        decision = decide(APPROXIMATE, night, read_figures(AuditFigures), read_wave().yardstick, params.gate)
        if attempt.is_exact or decision.passed or not is_gated:
            return attempt, reason
        reason = reason or decision.reason
    raise AttemptError(f"no attempt of {PARAMS} is kept: {reason}")


def measure_night(meter: Meter, wave: Wave, attempt: AttemptParams, reason: str) -> Night:
    """Returns what stands after a wave."""
    waves = [*wave.forgotten, wave.forgetting]
    gone = [sample_id for each in waves for sample_id in each.forget_ids]
    model = meter.load(UNLEARNED)
    return Night(
        number=wave.number,
        method=name_attempt(attempt),
        reason=reason,
        num_gone=sum(len(each.subject_keys) for each in waves),
        num_left=len(meter.train) - len(gone),
        accuracy=meter.measure_accuracy(model),
        everybody=meter.measure(gone, model),
        first=meter.measure(waves[0].forget_ids, model),
    )


def retrain_beside(params: Params, device: torch.device, meter: Meter, numbers: Sequence[int]) -> Iterator[Exact]:
    """Yields models that never had anybody who has gone by these waves of the current line, each of its own seed."""
    last, attempt = read_wave(), AttemptParams(method="retrain")
    waves = [*last.forgotten, last.forgetting]
    for number, seed in product([number for number in numbers if number <= len(waves)], range(NUM_EXACT)):
        wave = last.model_copy(update={"forgetting": waves[number - 1], "forgotten": waves[: number - 1]})
        training = params.training.model_copy(update={"seed": FIRST_SEED + seed})
        seeded = params.model_copy(update={"training": training})
        model = retrain(pose_problem(seeded, device, wave, meter.train, attempt, lambda _: None)).model
        gone = [sample_id for each in waves[:number] for sample_id in each.forget_ids]
        exact = Exact(number, meter.measure_accuracy(model), meter.measure(gone, model))
        print(f"retrained at wave {number}: {_tell(exact.everybody)}; accuracy {exact.accuracy:.1%}", flush=True)
        yield exact


def print_night(night: Night) -> None:
    """Prints a wave's line."""
    print(
        f"wave {night.number}: {night.method}, {night.num_gone} people gone, {night.num_left} images left; memory left"
        f" {_tell(night.everybody)}, of the first wave's {_tell(night.first)}; accuracy {night.accuracy:.1%}"
        + (f"; {night.reason}" if night.reason else ""),
        flush=True,
    )


def _tell(remembered: Remembered) -> str:
    if remembered.lower is None or remembered.upper is None:
        return f"{remembered.left:.2f} [?]"
    return f"{remembered.left:.2f} [{remembered.lower:.2f}, {remembered.upper:.2f}]"


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.line", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--source", choices=sorted(SIZES), required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--root", type=Path, default=ROOT.parent / "shared" / "data" / "cifar10", help="of CIFAR-10")
    parser.add_argument("--out", type=Path, help="JSON file (bench/results/SOURCE_line.json)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
