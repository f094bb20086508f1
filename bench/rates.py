"""Learning rates for the examples of a search: every rate of a grid, judged on the calibration half alone.

    python -m bench.rates --searches pgd_doubling adaptive_boundary      digits, eight seeds, about 15 minutes

Each seed (100 to 107, which no other bench uses) splits the people anew and trains a base and references of its own, as
in `bench.wave`; then each search finds D_A, and `amun` and `amun_a` are tried at every rate. The test half is not read.
A rate is the better one where its FT AUC comes nearer to that of exact retraining, among those whose loss of accuracy
stays within `gate.max_accuracy_drop`; rates are a tie where the paired 95 % interval of the difference holds 0.
Recorded results are in `bench/results/`.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import chdir, redirect_stdout
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import torch

from amun.audit.decision import decide
from amun.audit.night import read_night
from amun.core.errors import AmunError, DivergedError
from amun.core.params import AttemptParams, Params
from amun.core.paths import ATTEMPT
from amun.evidence.figures import AuditFigures, read_figures
from amun.evidence.wave import Attempt, read_wave, write_json
from amun.model.training import configure_torch
from amun.search.catalogue import SEARCHES
from amun.selftest.verdicts import APPROXIMATE
from amun.stages.adversarial import build_adversarial_set
from amun.stages.audit import audit
from amun.stages.unlearn import unlearn
from amun.study.machine import describe_machine
from bench.seed import begin_wave, choose_search, round_figure
from bench.statistics import find_interval, mean_and_deviation
from bench.wave import NUM_FORGET, ROOT, load_bench_params, set_seed

RATES = (0.01, 0.015, 0.02, 0.03, 0.05, 0.07, 0.1)
TRIED = ("amun", "amun_a")


@dataclass(frozen=True)
class RateRow:
    """What one rate gave in one wave, on the calibration half.

    Attributes:
        seed: of the wave.
        search: that found D_A.
        method: of unlearning.
        learning_rate: tried.
        ft_auc: of the unlearned model.
        gap: |FT AUC - that of exact retraining|.
        accuracy_drop: below the base's accuracy, 0 to 1.
        trace: of the method, with examples by the same search.
        passed: the gate would have let it through.
    """

    seed: int
    search: str
    method: str
    learning_rate: float
    ft_auc: float
    gap: float
    accuracy_drop: float
    trace: float
    passed: bool


def main() -> None:
    """Measures a wave for each seed, writes all rows after each, and prints a table for each search and method."""
    options = _read_options()
    out = (options.out or ROOT / "bench" / "results" / f"{options.source}_rates.json").resolve()
    params = load_bench_params(options.source, options.root.resolve())
    device = configure_torch(params.runtime)
    facts = {
        "source": options.source,
        "machine": describe_machine(device),
        "adversarial": params.adversarial.model_dump(exclude={"search"}),
    }
    rows: list[RateRow] = []
    try:
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            with tempfile.TemporaryDirectory() as folder, chdir(folder), redirect_stdout(sys.stderr):
                seeded = set_seed(params, seed)
                rows += run_seed(seeded, device, NUM_FORGET[options.source], options.searches, options.rates, seed)
            print(f"seed {seed} done", flush=True)
            write_json(out, facts | {"rows": [asdict(row) for row in rows]})
    except AmunError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    print_rates(rows, params.gate.max_accuracy_drop)


def run_seed(
    params: Params, device: torch.device, num_forget: int, searches: Sequence[str], rates: Sequence[float], seed: int
) -> list[RateRow]:
    """Runs a wave in the current, empty folder; returns a row for each search, method and rate that does not diverge.

    Args:
        params: with this run's seed.
        device: to compute on.
        num_forget: about how many training samples to forget.
        searches: names for `adversarial.search`.
        rates: to try.
        seed: for the rows.
    """
    begin_wave(params, device, num_forget)
    exact = next(attempt for attempt in params.unlearning.attempts if attempt.is_exact)
    build_adversarial_set(params, device)
    retrained_ft_auc = round_figure(_try(params, device, exact).ft_auc)
    rows = []
    for search in searches:
        changed = choose_search(params, search)
        build_adversarial_set(changed, device)
        for method, rate in product(TRIED, rates):
            try:
                audited = _try(changed, device, AttemptParams(method=method, learning_rate=rate))
            except DivergedError as error:
                print(f"  {method}, rate {rate:g}: {error}")
                continue
            rows.append(
                RateRow(
                    seed=seed,
                    search=search,
                    method=method,
                    learning_rate=rate,
                    ft_auc=round_figure(audited.ft_auc),
                    gap=round(abs(round_figure(audited.ft_auc) - retrained_ft_auc), 4),
                    accuracy_drop=round(round_figure(audited.accuracy_base) - round_figure(audited.accuracy), 4),
                    trace=round_figure(audited.trace),
                    passed=decide(APPROXIMATE, read_night(), audited, read_wave().yardstick, params.gate).passed,
                )
            )
    return rows


def print_rates(rows: Sequence[RateRow], max_accuracy_drop: float) -> None:
    """Prints a table for each search and method, each rate beside the best one."""
    for search, method in dict.fromkeys((row.search, row.method) for row in rows):
        by_rate: dict[float, list[RateRow]] = {}
        for row in rows:
            if (row.search, row.method) == (search, method):
                by_rate.setdefault(row.learning_rate, []).append(row)
        best = choose_rate(by_rate, max_accuracy_drop)
        print(f"\n{search}, {method}: nearest to retraining at {best}")
        print(f"{'rate':<8}{'FT AUC':>8}{'gap':>8}{'points lost':>13}{'trace':>8}{'passes':>9}", end="")
        print(f"{'gap, more than at best':>28}{'points lost, more':>24}")
        for rate, part in by_rate.items():
            print(f"{rate:<8g}{_mean(part, 'ft_auc'):>8.3f}{_mean(part, 'gap'):>8.3f}", end="")
            print(f"{100 * _mean(part, 'accuracy_drop'):>13.2f}{_mean(part, 'trace'):>8.3f}", end="")
            print(f"{sum(row.passed for row in part):>4} of {len(part)}", end="")
            if best is not None:
                print(f"{_compare(part, by_rate[best], 'gap'):>28}", end="")
                print(f"{_compare(part, by_rate[best], 'accuracy_drop', 100, 2):>24}", end="")
            print()


def choose_rate(by_rate: dict[float, list[RateRow]], max_accuracy_drop: float) -> float | None:
    """Returns the rate of the smallest mean gap whose mean loss of accuracy is allowed; None where there is none."""
    allowed = {rate: part for rate, part in by_rate.items() if _mean(part, "accuracy_drop") <= max_accuracy_drop}
    return min(allowed, key=lambda rate: _mean(allowed[rate], "gap")) if allowed else None


def _try(params: Params, device: torch.device, attempt: AttemptParams) -> AuditFigures:
    """Makes the only attempt of these parameters; returns what the stage *audit* says of it."""
    alone = params.model_copy(update={"unlearning": params.unlearning.model_copy(update={"attempts": (attempt,)})})
    write_json(ATTEMPT, Attempt(attempt=1))
    unlearn(alone, device)
    audit(alone, device)
    return read_figures(AuditFigures)


def _mean(rows: Sequence[RateRow], name: str) -> float:
    return mean_and_deviation([getattr(row, name) for row in rows])[0]


def _compare(rows: Sequence[RateRow], best: Sequence[RateRow], name: str, factor: float = 1, digits: int = 3) -> str:
    """Returns how much more than at the best rate, paired over the seeds, with its interval."""
    at_best = {row.seed: getattr(row, name) for row in best}
    differences = [factor * (getattr(row, name) - at_best[row.seed]) for row in rows if row.seed in at_best]
    ends = ", ".join(f"{end:+.{digits}f}" for end in find_interval(differences) if end is not None)
    return f"{mean_and_deviation(differences)[0]:+.{digits}f} [{ends}]"


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.rates", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--source", choices=sorted(NUM_FORGET), default="digits")
    parser.add_argument("--searches", nargs="+", choices=list(SEARCHES), required=True)
    parser.add_argument("--rates", nargs="+", type=float, default=RATES)
    parser.add_argument("--seeds", type=int, default=8, help="how many (8)")
    parser.add_argument("--first-seed", type=int, default=100)
    parser.add_argument("--root", type=Path, default=ROOT.parent / "shared" / "data" / "cifar10", help="of CIFAR-10")
    parser.add_argument("--out", type=Path, help="JSON file (bench/results/SOURCE_rates.json)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
