"""What a wave does to the leak and to the accuracy: every shipped attempt, whatever the gate says of it, over seeds.

    python -m bench.wave --source digits      five seeds, about six minutes on one core
    python -m bench.wave --source cifar10     3,000 training images, about 45 minutes on one core
    python -m bench.wave --source fashion --root FOLDER    Fashion-MNIST, likewise; torchvision's files lie in FOLDER
    python -m bench.wave --overhead .demo     what the orchestration adds to a wave of that workspace
    python -m bench.wave --source digits --seeds 10 --searches pgd_doubling adaptive_boundary
                                              the same waves with the adversarial examples of either search, paired
    python -m bench.wave --source digits --compare pgd_doubling "amun, rate 0.03" adaptive_boundary "amun, rate 0.1"
                                              two of the attempts recorded so, each with its search, paired

Each seed splits the people anew, trains a base and references of its own, lets about 150 training samples (otherwise
300) be forgotten, and measures every attempt of `params.yaml` beside the untouched base, fine-tuning on what remains
and exact retraining. The library's own stages do the work: the gate judges on the calibration half, the table shows
the test half. What a source needs other than `params.yaml` stands in a file of this folder and is printed.
Recorded results are in `bench/results/`.
"""

import argparse
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import chdir
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from amun.core.errors import AmunError
from amun.core.params import Params
from amun.core.paths import PARAMS
from amun.evidence.wave import write_json
from amun.model.training import configure_torch
from amun.params import check_params, load_params
from amun.search.catalogue import SEARCHES, check_blocks
from amun.study.machine import describe_machine
from bench.orchestration import print_overhead
from bench.paired import merge_paired, print_across, print_paired, read_paired, read_rows, run_paired_seed
from bench.seed import Row, run_seed
from bench.statistics import compare_with_retraining
from bench.tables import print_comparisons, print_rows
from flows.demo import OF_THE_BASE

ROOT = Path(__file__).resolve().parent.parent
NUM_FORGET = {"digits": 150, "cifar10": 300, "fashion": 300}
SEEDED = ("data", "training", "references", "unlearning")


def main() -> None:
    """Runs what the command line asks for."""
    options = _read_options()
    try:
        if options.overhead is not None:
            print_overhead(options.overhead, options.waves)
        elif options.compare:
            first, second = options.compare[:2], options.compare[2:]
            print_across(read_rows(_choose_out(options)), tuple(first), tuple(second))
        elif options.source != "digits" and not options.root.is_dir():
            print(f"skipped: there is no folder {options.root}; name that of {options.source} with --root")
        else:
            seeds = range(options.first_seed, options.first_seed + options.seeds)
            out = _choose_out(options)
            if options.searches:
                run_paired_bench(options.source, options.root.resolve(), seeds, out, options.searches)
            else:
                run_bench(options.source, options.root.resolve(), seeds, out)
    except AmunError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def run_bench(source: str, data_root: Path, seeds: Sequence[int], out: Path) -> None:
    """Measures a wave for each seed, prints the tables, and writes all figures to `out` after each seed."""
    shipped, params = load_params(ROOT / PARAMS), load_bench_params(source, data_root)
    device = configure_torch(params.runtime)
    facts = {
        "source": source,
        "seeds": list(seeds),
        "machine": describe_machine(device),
        "changed_params": dict(_list_changes(shipped.model_dump(), params.model_dump())),
    }
    print("\n".join(f"{name.replace('_', ' ')}: {content}" for name, content in facts.items()), flush=True)
    measured: list[list[Row]] = []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder, chdir(folder):
            measured.append(run_seed(set_seed(params, seed), device, NUM_FORGET[source]))
        print(f"seed {seed}: FT AUC " + ", ".join(f"{row.ft_auc:.3f} {row.name}" for row in measured[-1]), flush=True)
        rows = [asdict(row) | {"seed": number} for number, part in zip(seeds, measured, strict=False) for row in part]
        comparisons = compare_with_retraining(measured)
        write_json(out, facts | {"rows": rows, "comparisons": [asdict(comparison) for comparison in comparisons]})
    print_rows(measured)
    print_comparisons(compare_with_retraining(measured))


def run_paired_bench(source: str, data_root: Path, seeds: Sequence[int], out: Path, searches: Sequence[str]) -> None:
    """Measures each seed's wave with both searches, prints them side by side, writes all to `out` after each seed.

    What the file holds of other seeds, searches and attempts, with the same facts, stays and counts.
    """
    params = load_bench_params(source, data_root)
    device = configure_torch(params.runtime)
    adversarial = params.adversarial.model_dump(exclude={"search"})
    facts = {"source": source, "machine": describe_machine(device), "adversarial": adversarial}
    print("\n".join(f"{name}: {content}" for name, content in facts.items()), flush=True)
    rows = read_paired(out, facts)
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder, chdir(folder):
            measured = run_paired_seed(set_seed(params, seed), device, NUM_FORGET[source], searches, seed)
        rows = merge_paired(rows, measured)
        print(f"seed {seed} done", flush=True)
        write_json(out, facts | {"rows": [asdict(row) for row in rows]})
    for other in searches[1:]:
        print_paired(rows, (searches[0], other))


def load_bench_params(source: str, data_root: Path) -> Params:
    """Returns `params.yaml` with the attempts of this folder, and the changes of `SOURCE.yaml` where there is one."""
    content: dict[str, Any] = yaml.safe_load((ROOT / PARAMS).read_text(encoding="utf-8"))
    paths = [Path(__file__).parent / f"{name}.yaml" for name in ("attempts", source)]
    for path in paths:
        if path.exists():
            for section, changes in yaml.safe_load(path.read_text(encoding="utf-8")).items():
                content[section] |= changes
    if paths[-1].exists():
        content["data"]["root"] = str(data_root)
    params = Params.model_validate(content)
    return params.model_copy(update={"adversarial": check_blocks(params.adversarial)})


def load_demo_params() -> Params:
    """Returns `params.yaml` with the changes of the demo's base."""
    content = (ROOT / PARAMS).read_text(encoding="utf-8")
    for pattern, replacement in OF_THE_BASE.items():
        content = re.sub(pattern, replacement, content)
    return check_params(Params.model_validate(yaml.safe_load(content)))


def set_seed(params: Params, seed: int) -> Params:
    """Returns the parameters with this seed wherever there is one."""
    return params.model_copy(
        update={section: getattr(params, section).model_copy(update={"seed": seed}) for section in SEEDED}
    )


def _choose_out(options: argparse.Namespace) -> Path:
    name = f"{options.source}_searches" if options.searches or options.compare else options.source
    out: Path = options.out or ROOT / "bench" / "results" / f"{name}.json"
    return out.resolve()


def _list_changes(shipped: dict[str, Any], used: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yields each changed parameter; the folder of the data, a fact of the machine, is none."""
    for section, content in used.items():
        for key, value in content.items():
            if value != shipped[section][key] and key not in ("root", "seed"):
                yield f"{section}.{key}", value


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.wave", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--source", choices=sorted(NUM_FORGET))
    what.add_argument("--overhead", type=Path, metavar="WORKSPACE")
    parser.add_argument("--seeds", type=int, default=5, help="how many (5)")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--root", type=Path, default=ROOT.parent / "shared" / "data" / "cifar10", help="of the data")
    parser.add_argument("--out", type=Path, help="JSON file (bench/results/SOURCE.json)")
    parser.add_argument(
        "--searches",
        nargs="+",
        choices=list(SEARCHES),
        metavar="SEARCH",
        help="compare the first with each other, paired",
    )
    parser.add_argument("--compare", nargs=4, metavar=("SEARCH", "ATTEMPT") * 2, help="two of the recorded attempts")
    parser.add_argument("--waves", type=int, default=5, help="of --overhead (5)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
