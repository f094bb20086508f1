"""The nearest adversarial example: our searches, Algorithm 1, and what one would install instead, in one table.

    python -m pip install -c constraints.txt -e '.[bench]'   foolbox and torchattacks
    python -m bench.adversarial                              both models, batches of 1, 32 and 512
    python -m bench.adversarial --models digits --batches 1  a part; the file's other rows stay, and count
    python -m bench.adversarial --recorded                   measure nothing, judge the rows of the file
    python -m bench.adversarial --flat                       the stage's cost a sample, and memory, for more samples

The demo's CNN on digits, and a residual network on CIFAR-10 (skipped where its files are not there), each trained here
by seed. All rows of one batch size search the same samples, in turn, as often as `--rounds` says; the fastest round
counts. A gradient evaluation is one sample's in one backward pass; time is that of the processor, on one thread. The
last line holds the ratios; the exit code is 1 where one of them, or the Pareto front, misses its figure. Recorded
results are in `bench/results/`. adv-lib needs visdom, which builds with setuptools before 81 alone:
`PIP_CONSTRAINT=old.txt python -m pip install adv-lib==0.2.8` with `setuptools<81` in that file.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from amun.core.errors import AmunError
from amun.core.paths import PARAMS
from amun.evidence.wave import write_json
from amun.model.training import configure_torch
from amun.params import load_params
from amun.study.machine import describe_machine
from bench.flat import run_flat_bench
from bench.measuring import Row, measure_rows
from bench.pareto import describe_ratios, draw_front, judge
from bench.searches import list_contestants
from bench.victims import VICTIMS, load_victim

ROOT = Path(__file__).resolve().parent.parent
# of each batch size: few would mostly measure the last batch, and the means of 16 in batches of 1 hang by one or two
NUM_SAMPLES = {1: 128, 32: 128, 512: 1024}


def main() -> None:
    """Runs what the command line asks for."""
    options = _read_options()
    misses: list[str] = []
    try:
        if options.flat and not options.root.is_dir():
            print(f"skipped: no CIFAR-10 in {options.root}; name its folder with --root")
        elif options.flat:
            run_flat_bench(options.root, options.out.with_name(f"{options.out.stem}_flat.json"))
        elif options.recorded:
            misses = judge_recorded(options.out)
        else:
            misses = run_bench(options)
    except AmunError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    sys.exit(1 if misses else 0)


def run_bench(options: argparse.Namespace) -> list[str]:
    """Measures, prints and writes everything; returns what misses its figure."""
    params = load_params(ROOT / PARAMS)
    device = configure_torch(params.runtime)
    machine = describe_machine(device)
    print(f"machine: {machine}", flush=True)
    models = [name for name in options.models if name != "resnet" or options.root.is_dir()]
    if len(models) < len(options.models):
        print(f"skipped: no CIFAR-10 in {options.root}; name its folder with --root")
    if not models:
        return []
    rows = keep_rows(options.out, machine, models, options.batches)
    for name in models:
        victim = load_victim(name, params, options.root, options.weights, device)
        print(f"{name}: accuracy {victim.accuracy:.3f} on the {len(victim.labels)} samples it learned", flush=True)
        for batch_size in options.batches:
            contestants = list_contestants(params.adversarial, batch_size)
            part = victim.take(min(options.samples or NUM_SAMPLES[batch_size], len(victim.labels)))
            measured = measure_rows(part, contestants, batch_size, options.rounds)
            _print_rows(measured)
            rows += measured
    misses = judge(rows)
    write_json(options.out, {"machine": machine, "rows": [asdict(row) for row in rows], "misses": misses})
    draw_front(rows, options.out.with_suffix(".svg"))
    print("\n".join(misses))
    print(describe_ratios(rows))
    return misses


def judge_recorded(out: Path) -> list[str]:
    """Prints what a file of results misses, and its ratios; returns what it misses."""
    rows = [Row(**row) for row in json.loads(out.read_text(encoding="utf-8"))["rows"]]
    misses = judge(rows)
    print("\n".join(misses))
    print(describe_ratios(rows))
    return misses


def keep_rows(out: Path, machine: str, models: Sequence[str], batch_sizes: Sequence[int]) -> list[Row]:
    """Returns the rows that the file already holds: of this machine, and of what is not measured now."""
    if not out.exists():
        return []
    content = json.loads(out.read_text(encoding="utf-8"))
    rows = [Row(**row) for row in content["rows"]] if content["machine"] == machine else []
    return [row for row in rows if row.model not in models or row.batch_size not in batch_sizes]


def _print_rows(rows: Sequence[Row]) -> None:
    first = rows[0]
    print(f"\n{first.model}, batches of {first.batch_size}, {first.num_samples} samples")
    print(f"{'':<38}{'ms':>10}{'cpu ms':>10}{'gradients':>11}{'forwards':>10}", end="")
    print(f"{'mean norm':>11}{'p95':>8}{'missing':>9}{'MiB':>8}")
    for row in rows:
        print(f"{row.search:<38}{1000 * row.seconds:>10.3f}{1000 * row.cpu_seconds:>10.3f}", end="")
        print(f"{row.num_gradients:>11.2f}{row.num_forwards:>10.2f}", end="")
        print(f"{row.mean_norm:>11.4f}{row.p95_norm:>8.3f}{row.missing:>9.3f}{row.peak_mib:>8.0f}", flush=True)


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.adversarial", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--models", nargs="+", choices=VICTIMS, default=VICTIMS)
    parser.add_argument("--batches", nargs="+", type=int, choices=sorted(NUM_SAMPLES), default=sorted(NUM_SAMPLES))
    parser.add_argument("--recorded", action="store_true", help="judge what the file holds, measure nothing")
    parser.add_argument("--flat", action="store_true", help="measure the stage instead")
    parser.add_argument("--samples", type=int, help="of every batch size, in place of 128, 128 and 1024")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--root", type=Path, default=ROOT.parent / "shared" / "data" / "cifar10", help="of CIFAR-10")
    parser.add_argument("--weights", type=Path, default=Path(tempfile.gettempdir()), help="folder that keeps weights")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "adversarial.json")
    return parser.parse_args()


if __name__ == "__main__":
    torch.manual_seed(0)  # some peers draw from it
    main()
