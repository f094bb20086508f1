"""What exact retraining shows whoever holds a later base: is the null of the first base's retrained models right there?

    python -m bench.later                      one line of the noisy digits of the demo, about three minutes on a core
    python -m bench.later --first-seed 1 --lines 2

Trace and weights are bounded by models that are retrained beside the first base of a line. A later wave begins with
what earlier ones have made of it. Here each wave keeps its first attempt, whatever the gate says of it. Beside the base
of some waves, models are retrained without those who have gone and without people drawn anew, and are asked of
these. Recorded results are in `bench/results/`.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from amun.audit.retrained import bound_trace, bound_trace_by_person, bound_weights
from amun.audit.trace import Rises, compare_rises, find_candidates, measure_rise
from amun.audit.weights import measure_weights
from amun.core.errors import InputError
from amun.core.params import Params
from amun.core.paths import BASE_MODEL, CALIBRATION, TRAIN, UNLEARNED
from amun.evidence.figures import TrainFigures, read_figures
from amun.evidence.wave import MIN_PEOPLE, ForgottenWave, RetrainedFigures, write_json
from amun.model.building import load_for
from amun.model.training import configure_torch
from amun.selftest.full import train_on
from amun.selftest.ground import draw_people as order_people
from amun.stages.references import train_references
from amun.stages.retrained import retrain_beside_base
from amun.stages.train import train
from amun.store.drawing import draw_people, find_strangers
from amun.store.samples import Samples, read_samples
from amun.store.store import read_shape
from amun.study.machine import describe_machine
from bench.line import load_line_params, make_wave
from bench.seed import Yardstick, freeze_next, prepare_store
from bench.wave import ROOT, set_seed

NUM_PEOPLE = 60  # who ask in a wave
BASES = (1, 5)  # of which waves models are retrained beside the base
NUM_RETRAINED, NUM_EXACT = 6, 6  # models beside the first base, by which is bounded; beside each of these bases
FIRST_SEED = 800  # of the latter


@dataclass(frozen=True)
class Row:
    """What exact retraining shows beside the base of one wave.

    Attributes:
        seed: of the line.
        number: of the wave.
        num_left: people in training before it.
        trace: by image, of each model.
        trace_by_person: likewise.
        weights_by_person: likewise.
        bounds: of these three, by the models beside the first base, for as many people.
    """

    seed: int
    number: int
    num_left: int
    trace: list[float]
    trace_by_person: list[float]
    weights_by_person: list[float]
    bounds: list[float]


def main() -> None:
    """Runs the lines, prints a row for each base and writes all of them after each line."""
    options = _read_options()
    shipped = load_line_params("digits", Path())
    references = shipped.references.model_copy(update={"num_audit": 0, "num_retrained": NUM_RETRAINED})
    params = shipped.model_copy(update={"references": references})
    device = configure_torch(params.runtime)
    rows: list[Row] = []
    for seed in range(options.first_seed, options.first_seed + options.lines):
        with tempfile.TemporaryDirectory() as folder, chdir(folder):
            for row in measure_line(set_seed(params, seed), device, seed):
                print_row(row)
                rows.append(row)
        write_json(options.out, {"machine": describe_machine(device), "rows": [asdict(row) for row in rows]})


def measure_line(params: Params, device: torch.device, seed: int) -> Iterator[Row]:
    """Yields a row for each base, of a new line in the current, empty folder."""
    with redirect_stdout(sys.stderr):
        prepare_store(params, device)
        train(params, device)
        train_references(params, device)
        retrained = retrain_beside_base(params, device)
    base, forgotten, order = BASE_MODEL, list[ForgottenWave](), order_people(seed)
    yardstick = Yardstick(read_figures(TrainFigures).calibration_accuracy, 0)
    for number in range(1, max(BASES) + 1):
        gone, asking = np.split(np.array(order), [(number - 1) * NUM_PEOPLE])
        if number in BASES:
            yield _measure_base(params, device, seed, number, base, gone, retrained)
        with redirect_stdout(sys.stderr):
            wave = freeze_next(params, base, asking[:NUM_PEOPLE].tolist(), forgotten, yardstick)
            make_wave(params, device, is_gated=False)
        base, forgotten = UNLEARNED, [*wave.forgotten, wave.forgetting]


def _measure_base(
    params: Params,
    device: torch.device,
    seed: int,
    number: int,
    path: Path,
    gone: npt.NDArray[np.str_],
    retrained: RetrainedFigures,
) -> Row:
    train_samples, half = read_samples(TRAIN), read_samples(CALIBRATION)
    calibration = half.select(find_strangers(half, train_samples))
    held = train_samples.select(~np.isin(train_samples.subject_ids, gone))
    base, people, shown = load_for(params, read_shape(TRAIN), device, path), np.unique(held.subject_ids), []
    num_strangers = []
    for each in range(NUM_EXACT):
        drawn = np.random.default_rng([seed, number, each]).permutation(people)[:NUM_PEOPLE]
        is_drawn = np.isin(held.subject_ids, drawn)
        forget, model = held.select(is_drawn), train_on(params, device, held.select(~is_drawn), FIRST_SEED + each)
        strangers = calibration.take(draw_people(calibration.subject_ids, len(forget), each, MIN_PEOPLE))
        num_strangers.append(len(np.unique(strangers.subject_ids)))
        rises = [_find_rises(params, base, model, samples, device) for samples in (forget, strangers)]
        trace, weights = compare_rises(*rises), measure_weights(base, model, forget, strangers, device)
        shown.append([_demand(auc) for auc in (trace.auc, trace.auc_by_person, weights.auc_by_person)])
    counts = NUM_PEOPLE, round(float(np.mean(num_strangers)))
    bounds = [_demand(bound(retrained, counts)) for bound in (bound_trace, bound_trace_by_person, bound_weights)]
    trace_by_image, trace_by_person, weights_by_person = (list(figure) for figure in zip(*shown, strict=True))
    return Row(seed, number, len(people), trace_by_image, trace_by_person, weights_by_person, bounds)


def _demand(figure: float | None) -> float:
    """Returns the figure: what is missing may not count as a trace of 0, nor as a bound that is never exceeded."""
    if figure is None:
        raise InputError("too few people or images are left for the figures")
    return figure


def _find_rises(params: Params, base: nn.Module, model: nn.Module, samples: Samples, device: torch.device) -> Rises:
    found = find_candidates(base, samples.images.to(device), samples.labels.to(device), params.adversarial)
    return Rises(measure_rise(base, model, *found.examples), samples.subject_ids[found.is_found.cpu().numpy()])


def print_row(row: Row) -> None:
    """Prints what models show beside one base."""
    print(f"line {row.seed}, base of wave {row.number}, {row.num_left} people left:", flush=True)
    figures = (
        ("trace", row.trace),
        ("trace by person", row.trace_by_person),
        ("weights by person", row.weights_by_person),
    )
    for (name, shown), bound in zip(figures, row.bounds, strict=True):
        above = sum(max(auc, 1 - auc) > bound for auc in shown)
        told = ", ".join(f"{auc:.2f}" for auc in shown)
        print(f"  {name:10} {told}; mean {np.mean(shown):.2f}; above {bound:.2f}: {above}", flush=True)


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.later", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--lines", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0, help="of the lines")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "digits_later.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
