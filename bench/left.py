"""How often exact retraining passes the whole gate, by what is left to train on: really retrained models.

    python -m bench.left                       four splits, six nights of each size, about 25 minutes on a core
    python -m bench.left --people 60 --first-seed 20
    python -m bench.left --splits 1 --first-seed 40 --retrained 8 --out /tmp/left.json
                                               trace and weights by person judged, too

Each split has people, a base and references of its own, with the parameters of the demo. Each night draws who asks, a
model is trained without them, and it is judged as an attempt that is not exact: what the stage `power` says of the
night beforehand stands beside it. Nights on one split have base, references and held-out people in common.
`bench.power` does the same for models with as many images as the base, without a training for each night.
Recorded results are in `bench/results/`.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import chdir, redirect_stdout
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from amun.core.params import MIN_RETRAINED, Params
from amun.evidence.wave import write_json
from amun.model.training import configure_torch
from amun.selftest.full import BaseNights
from amun.selftest.ground import keep_retrained
from amun.selftest.nights import Judgement
from amun.stages.references import train_references
from amun.stages.retrained import retrain_beside_base
from amun.stages.train import train
from amun.study.machine import describe_machine
from bench.seed import prepare_store
from bench.wave import ROOT, load_demo_params, set_seed

NUM_PEOPLE = (50, 75, 150)


@dataclass(frozen=True)
class LeftRow:
    """Nights of one size, on one split or on several.

    Attributes:
        num_people: who ask.
        num_nights: drawn.
        said: what the stage `power` says on average: the share of exactly retrained models that pass.
        unrefused: the share that nothing speaks against; in an insufficient night memory left does only where it is
            shown to lie outside the margin.
        num_sufficient: nights of which it says 80 % or more.
        num_sufficient_passed: of those.
        alarmed: the share that anything but memory left refuses.
        grounds: how often each bound was one that was not kept.
    """

    num_people: int
    num_nights: int
    said: float
    unrefused: float
    num_sufficient: int
    num_sufficient_passed: int
    alarmed: float
    grounds: dict[str, int]


def main() -> None:
    """Runs the nights of every split, prints the table after each and writes it."""
    options = _read_options()
    params = choose_retrained(load_demo_params(), options.retrained)
    device = configure_torch(params.runtime)
    rows: list[LeftRow] = []
    for seed in range(options.first_seed, options.first_seed + options.splits):
        with tempfile.TemporaryDirectory() as folder, chdir(folder), redirect_stdout(sys.stderr):
            rows += measure_split(set_seed(params, seed), device, seed, options.people, options.nights)
        added = add_up(rows)
        print_left(added)
        write_json(
            options.out,
            {
                "machine": describe_machine(device),
                "rows": [asdict(row) for row in added],
                "splits": list(range(options.first_seed, seed + 1)),
            },
        )


def choose_retrained(params: Params, num_retrained: int) -> Params:
    """Returns the parameters with so many models that are retrained beside a base."""
    references = params.references.model_copy(update={"num_retrained": num_retrained})
    return params.model_copy(update={"references": references})


def measure_split(
    params: Params, device: torch.device, seed: int, sizes: Sequence[int], num_nights: int
) -> list[LeftRow]:
    """Returns a row for each size, of nights on a new split in the current, empty folder."""
    prepare_store(params, device)
    train(params, device)
    train_references(params, device)
    keep_retrained(retrain_beside_base(params, device) if params.references.num_retrained else None)
    nights = BaseNights(params, device, seed)
    return [describe_nights(size, list(nights.draw_exact(size, num_nights, is_always=True))) for size in sizes]


def describe_nights(num_people: int, judged: Sequence[Judgement]) -> LeftRow:
    """Returns the row of nights of one size."""
    is_passed = np.array([not judgement.is_refused for judgement in judged])
    is_sufficient = np.array([not judgement.night.insufficient for judgement in judged])
    grounds = [set(judgement.list_grounds()) for judgement in judged]
    return LeftRow(
        num_people=num_people,
        num_nights=len(judged),
        said=float(np.mean([judgement.night.power or 0.0 for judgement in judged])),
        unrefused=float(is_passed.mean()),
        num_sufficient=int(is_sufficient.sum()),
        num_sufficient_passed=int((is_passed & is_sufficient).sum()),
        alarmed=float(np.mean([bool(names - {"memory left", "test half"}) for names in grounds])),
        grounds=dict(Counter(name for names in grounds for name in sorted(names))),
    )


def add_up(rows: Sequence[LeftRow]) -> list[LeftRow]:
    """Returns the nights of all splits together, by size."""
    added: dict[int, LeftRow] = {}
    for row in rows:
        added[row.num_people] = _add(added[row.num_people], row) if row.num_people in added else row
    return list(added.values())


def _add(first: LeftRow, second: LeftRow) -> LeftRow:
    nights = first.num_nights, second.num_nights

    def average(*values: float) -> float:
        return float(np.average(values, weights=nights))

    return replace(
        first,
        num_nights=sum(nights),
        said=average(first.said, second.said),
        unrefused=average(first.unrefused, second.unrefused),
        alarmed=average(first.alarmed, second.alarmed),
        num_sufficient=first.num_sufficient + second.num_sufficient,
        num_sufficient_passed=first.num_sufficient_passed + second.num_sufficient_passed,
        grounds=dict(Counter(first.grounds) + Counter(second.grounds)),
    )


def print_left(rows: Sequence[LeftRow]) -> None:
    """Prints the rows."""
    names = f"{'said':>8}{'unrefused':>11}{'sufficient':>12}{'passed':>9}{'alarmed':>9}"
    print(f"{'people':<8}{'nights':>8}{names}  refused by")
    for row in rows:
        named = ", ".join(f"{name} {count}" for name, count in row.grounds.items())
        print(
            f"{row.num_people:<8}{row.num_nights:>8}{row.said:>8.0%}{row.unrefused:>11.0%}{row.num_sufficient:>12}"
            f"{row.num_sufficient_passed:>9}{row.alarmed:>9.0%}  {named}",
            flush=True,
        )


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.left", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--people", type=int, nargs="+", default=NUM_PEOPLE, help="who ask in a night")
    parser.add_argument("--splits", type=int, default=4)
    parser.add_argument("--first-seed", type=int, default=0, help="of the splits")
    parser.add_argument("--nights", type=int, default=6, help="of each size on each split")
    parser.add_argument("--retrained", type=int, default=0, help="models retrained beside a base; 4 at least, or none")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "digits_left.json")
    options = parser.parse_args()
    if options.retrained != 0 and options.retrained < MIN_RETRAINED:
        parser.error(f"--retrained: 0, or {MIN_RETRAINED} and more")
    return options


if __name__ == "__main__":
    main()
