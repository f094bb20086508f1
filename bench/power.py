"""How many people a night needs: the chance that exact retraining is shown to have forgotten them, by margin.

    python -m bench.power --source digits      48 references, about four minutes on one core
    python -m bench.power --source cifar10     40 references on 6,000 images, about half an hour on one core

Nothing is simulated but who asks. Each draw takes one real reference for the base and one for an exactly retrained
model, lets people be forgotten whom the first has seen and the second has not, compares them with people whom neither
has seen, and measures memory left with sixteen other references, as the gate does. Beside the share that is shown to
lie within the margin stands that of a model at the margin (it may be 5 % at most) and that of the untouched base. How
often the alarm on overlooked people sounds is counted likewise, with one of six people left to the base.
People own one to five images. Recorded results are in `bench/results/`.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import chdir, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from amun.audit.memory import Instrument, Memory, compare_totals
from amun.audit.night import ALPHA
from amun.audit.observations import Evidence
from amun.audit.signals import compute_signals
from amun.core.params import Params
from amun.core.paths import AUDIT_INCLUSION, AUDIT_LOGITS
from amun.evidence.wave import write_json
from amun.model.training import configure_torch
from amun.stages.references import train_references
from amun.store.samples import read_samples
from amun.study.machine import describe_machine
from bench.seed import prepare_store
from bench.wave import NUM_FORGET, ROOT, load_bench_params

Floats = npt.NDArray[np.float64]

NUM_REFERENCES = {"digits": 48, "cifar10": 40}
MAX_SAMPLES = 5  # of a person
NUM_JUDGES = 16  # references of a draw, as shipped
MARGINS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
NUM_PEOPLE = (12, 25, 50, 75, 100, 150, 200)
NUM_HELD_OUT = 150


@dataclass(frozen=True)
class PowerRow:
    """What so many people show, over all draws.

    Attributes:
        num_people: to forget; as many as there are, where there are fewer.
        num_samples: of them, on average.
        num_held_out: people to compare them with.
        margin: `gate.max_memory_left`.
        exact: the share of exactly retrained models that is shown to lie within it.
        at_margin: the share of models that truly lie at it.
        untouched: the share of untouched bases.
    """

    num_people: int
    num_samples: float
    num_held_out: int
    margin: float
    exact: float
    at_margin: float
    untouched: float


@dataclass(frozen=True)
class AlarmRow:
    """How often the alarm on overlooked people sounds, over all draws.

    Attributes:
        num_people: to forget.
        exact: the share of exactly retrained models on which it does.
        sixth: of models that remember one of six people as the base does, and the others not at all.
        margin_passes: the share of the latter whose memory left is shown to lie within 0.5 all the same.
    """

    num_people: int
    exact: float
    sixth: float
    margin_passes: float


@dataclass(frozen=True)
class Trained:
    """Many references on one set of samples.

    Attributes:
        signals: (N, K) of the references.
        inclusion: (N, K) bool, who was trained on what.
        subjects: (N,) whose each sample is.
    """

    signals: Floats
    inclusion: npt.NDArray[np.bool_]
    subjects: npt.NDArray[np.str_]


def main() -> None:
    """Trains the references, draws nights, prints the table and writes it."""
    options = _read_options()
    params = choose_params(load_bench_params(options.source, options.root.resolve()), options.source)
    device = configure_torch(params.runtime)
    with tempfile.TemporaryDirectory() as folder, chdir(folder), redirect_stdout(sys.stderr):
        trained = train_many(params, device)
    rows = [row for count in NUM_PEOPLE for row in measure_power(trained, count, options.draws)]
    alarms = [measure_alarm(trained, count, options.draws) for count in NUM_PEOPLE]
    write_json(
        options.out or ROOT / "bench" / "results" / f"{options.source}_power.json",
        {
            "source": options.source,
            "machine": describe_machine(device),
            "draws": options.draws,
            "rows": [asdict(row) for row in rows],
            "alarms": [asdict(row) for row in alarms],
        },
    )
    print_power(rows)
    print_alarms(alarms)


def choose_params(params: Params, source: str) -> Params:
    """Returns the parameters with many references, and people who own few images."""
    references = params.references.model_copy(update={"num_audit": NUM_REFERENCES[source], "num_target": 0})
    data = params.data.model_copy(update={"subject_max_samples": MAX_SAMPLES})
    return params.model_copy(update={"references": references, "data": data})


def train_many(params: Params, device: torch.device) -> Trained:
    """Trains the references in the current, empty folder."""
    prepare_store(params, device)
    train_references(params, device)
    logits, inclusion = read_samples(AUDIT_LOGITS), read_samples(AUDIT_INCLUSION)
    return Trained(
        signals=compute_signals(logits.payloads, logits.labels[:, None], params.audit).numpy(),
        inclusion=inclusion.payloads.numpy().astype(np.bool_),
        subjects=logits.subject_ids,
    )


def measure_power(trained: Trained, num_people: int, num_draws: int) -> list[PowerRow]:
    """Returns a row for each margin; every draw serves them all."""
    random = np.random.default_rng(num_people)
    nights = [draw_night(trained, num_people, random) for _ in range(num_draws)]
    ends = [[night.measure(share) for night in nights] for share in (0.0, 1.0)]
    counts = [night.instrument.evidence.count_people() for night in nights]
    return [
        PowerRow(
            num_people=max(count for count, _ in counts),
            num_samples=round(float(np.mean([night.instrument.evidence.is_forget.sum() for night in nights])), 1),
            num_held_out=max(count for _, count in counts),
            margin=margin,
            exact=count_within(ends[0], margin),
            at_margin=count_within([night.measure(margin) for night in nights], margin),
            untouched=count_within(ends[1], margin),
        )
        for margin in MARGINS
    ]


@dataclass(frozen=True)
class Night:
    """People who ask, and two models: one that has seen them, one that has not."""

    instrument: Instrument
    base: Floats
    exact: Floats

    def measure(self, share: float) -> Memory:
        """Returns what is measured of a model that has this share of the base's memory."""
        return compare_totals(self.instrument, self.base, share * self.base + (1 - share) * self.exact)

    def overlook(self, random: np.random.Generator) -> Memory:
        """Returns what is measured of a model that has all of the memory of one of six people."""
        codes, is_forgotten = self.instrument.evidence.people
        people = random.permutation(np.flatnonzero(is_forgotten))
        is_kept = np.isin(codes, people[: len(people) // 6])
        return compare_totals(self.instrument, self.base, np.where(is_kept, self.base, self.exact))


def measure_alarm(trained: Trained, num_people: int, num_draws: int) -> AlarmRow:
    """Returns how often the alarm on overlooked people sounds."""
    random = np.random.default_rng(num_people)
    nights = [draw_night(trained, num_people, random) for _ in range(num_draws)]
    exact = [night.measure(0.0) for night in nights]
    sixth = [night.overlook(random) for night in nights]
    return AlarmRow(
        num_people=max(night.instrument.evidence.count_people()[0] for night in nights),
        exact=count_alarms(exact),
        sixth=count_alarms(sixth),
        margin_passes=count_within(sixth, 0.5),
    )


def draw_night(trained: Trained, num_people: int, random: np.random.Generator) -> Night:
    """Draws a base, an exactly retrained model, the references that judge, and who asks."""
    names, codes = np.unique(trained.subjects, return_inverse=True)
    of_people = trained.inclusion[np.unique(codes, return_index=True)[1]]
    pairs = random.permutation(trained.signals.shape[1] // 2)
    base, exact = 2 * pairs[0] + random.integers(2), 2 * pairs[1] + random.integers(2)
    judges = np.concatenate([[2 * pair, 2 * pair + 1] for pair in pairs[2 : 2 + NUM_JUDGES // 2]])
    seen, unseen = of_people[:, base] & ~of_people[:, exact], ~of_people[:, base] & ~of_people[:, exact]
    asking = random.permutation(np.flatnonzero(seen))[:num_people]
    held_out = random.permutation(np.flatnonzero(unseen))[:NUM_HELD_OUT]
    is_forget = np.isin(codes, asking)
    rows = np.flatnonzero(is_forget | np.isin(codes, held_out))
    evidence = Evidence(
        trained.signals[np.ix_(rows, judges)],
        trained.inclusion[np.ix_(rows, judges)],
        names[codes[rows]],
        is_forget[rows],
    )
    return Night(Instrument(evidence), trained.signals[rows, base], trained.signals[rows, exact])


def count_within(measured: Sequence[Memory], margin: float) -> float:
    """Returns the share that is shown to lie within the margin, as the gate asks for."""
    bounds = [memory.bound(ALPHA) for memory in measured]
    return float(np.mean([bound is not None and -margin <= bound[0] and bound[1] <= margin for bound in bounds]))


def count_alarms(measured: Sequence[Memory]) -> float:
    """Returns the share in which the alarm on overlooked people sounds."""
    return float(np.mean([memory.overlooked > memory.null.max_overlooked for memory in measured]))


def print_power(rows: Sequence[PowerRow]) -> None:
    """Prints the share of exact models that pass by people and margin, and the largest shares of the others."""
    print(f"{'people':<8}{'images':>8}" + "".join(f"{margin:>8g}" for margin in MARGINS))
    for num_people in dict.fromkeys(row.num_people for row in rows):
        part = [row for row in rows if row.num_people == num_people]
        print(f"{num_people:<8}{part[0].num_samples:>8.0f}" + "".join(f"{row.exact:>8.0%}" for row in part))
    print(f"at the margin at most {max(row.at_margin for row in rows):.1%} pass, ", end="")
    print(f"untouched at most {max(row.untouched for row in rows):.1%}")


def print_alarms(rows: Sequence[AlarmRow]) -> None:
    """Prints by people how often the alarm on overlooked people sounds, and what memory left alone would pass."""
    for row in rows:
        print(
            f"{row.num_people} people, one of six overlooked: alarm {row.sixth:.0%}, exact models {row.exact:.0%}; "
            f"memory left alone would pass {row.margin_passes:.0%} at 0.5"
        )


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.power", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--source", choices=sorted(NUM_FORGET), default="digits")
    parser.add_argument("--draws", type=int, default=300, help="nights for each number of people (300)")
    parser.add_argument("--root", type=Path, default=ROOT.parent / "shared" / "data" / "cifar10", help="of CIFAR-10")
    parser.add_argument("--out", type=Path, help="JSON file (bench/results/SOURCE_power.json)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
