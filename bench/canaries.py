"""What canaries show of small nights: who may be judged by them, what passes, and what is refused.

    python -m bench.canaries                            four splits, six nights of each size: about an hour on a core
    python -m bench.canaries --splits 1 --first-seed 70 --nights 4 --people 2

The parameters are those of the demo. Of each split's people a pool is set apart; in each night some others ask, and get
canaries as a wave would take them. Where the night is sufficient with them, these models are judged as attempts that
are not exact: one that is retrained without all of them, one without the canaries alone (those who asked are left as
they were), `never_seen`, and AMUN in its two forms. The untouched base is asked about many more nights. Nights on one
split have base, references, pool and held-out people in common. Recorded results are in `bench/results/`.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import chdir, redirect_stdout
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from amun.core.keys import load_secret
from amun.core.params import AttemptParams, Params
from amun.core.paths import ATTEMPT, BASE_MODEL, TRAIN, UNLEARNED, WAVE, WAVE_BASE
from amun.evidence.wave import Attempt, Wave, write_json
from amun.model.building import load_for
from amun.model.training import configure_torch
from amun.selftest.full import retrain
from amun.selftest.ground import draw_people, keep_retrained, plan_night
from amun.selftest.nights import Answers, Field, Judgement
from amun.stages.adversarial import build_adversarial_set
from amun.stages.canaries import choose_canaries
from amun.stages.references import train_references
from amun.stages.train import train
from amun.stages.unlearn import unlearn
from amun.store.forgetting import add_canaries
from amun.store.store import read_shape
from amun.study.machine import describe_machine
from bench.seed import prepare_store
from bench.wave import ROOT, load_demo_params, set_seed

NUM_PEOPLE = (2, 5)
NUM_POOL, MAX_CANARIES = 150, 75
NUM_UNTOUCHED = 50  # nights of each size on a split
EXACT, CANARIES_ALONE, UNTOUCHED = "exact weights", "exact but for those who asked", "untouched base"
METHODS = (
    AttemptParams.model_validate({"method": "never_seen", "learning_rate": 0.05, "forget_weight": 2.0}),
    AttemptParams.model_validate({"method": "amun", "learning_rate": 0.03}),
    AttemptParams.model_validate({"method": "amun_a", "learning_rate": 0.03}),
)
_FIRST_SEED = 9000  # of draws and trainings


@dataclass(frozen=True)
class CanaryRow:
    """What is said of a model in nights of one size.

    Attributes:
        planted: the model.
        num_people: who ask.
        num_nights: drawn.
        num_sufficient: that could show something with canaries; only there a model was made.
        num_passed: of those.
        num_canaries: of those, on average.
        grounds: how often each bound was one that was not kept.
        num_apart: in which those who asked looked more remembered than canaries.
        power_asked: what the stage `power` says of that on average, were they left as they were.
    """

    planted: str
    num_people: int
    num_nights: int
    num_sufficient: int
    num_passed: int
    num_canaries: float
    grounds: dict[str, int]
    num_apart: int
    power_asked: float


class CanaryField(Field):
    """The ground's samples and references, in whose nights canaries are taken."""

    def __init__(self, params: Params, device: torch.device, pool: Sequence[str]) -> None:
        super().__init__(params, device)
        self._pool = list(pool)
        self._waves: dict[tuple[str, ...], Wave] = {}

    def plan(self, people: Sequence[str]) -> Wave:
        """Returns the night in which these people ask, with its canaries."""
        return self._plan(people)

    def _plan(self, people: Sequence[str]) -> Wave:
        asked = tuple(people)
        if asked not in self._waves:
            wave = plan_night(self.params.model.name, people, [self.train, self.calibration, self.test])
            write_json(WAVE, wave)
            canaries = choose_canaries(self.params, self._device, wave, self._pool)
            forgetting = add_canaries(wave.forgetting, load_secret(Path()), self.train, canaries)
            self._waves[asked] = wave.model_copy(update={"forgetting": forgetting}) if canaries else wave
        return self._waves[asked]


class Nights:
    """Nights on the current ground's base."""

    def __init__(self, params: Params, device: torch.device, seed: int) -> None:
        self._params, self._device, self._seed = params, device, _FIRST_SEED + 1000 * seed
        everybody = draw_people(self._seed)
        self._pool, self._others = everybody[:NUM_POOL], everybody[NUM_POOL:]
        self._field = CanaryField(params, device, self._pool)
        self._base = load_for(params, read_shape(TRAIN), device, BASE_MODEL)
        self._candidates = self._field.search(self._base)
        self._of_base = self._field.ask(self._base, self._base, self._candidates)

    def draw(self, num_people: int, num_nights: int) -> Iterator[CanaryRow]:
        """Yields a row for each model."""
        judged: dict[str, list[Judgement]] = {name: [] for name in (EXACT, CANARIES_ALONE, *_list_methods())}
        for number in range(num_nights):
            people = self._draw_people(number, num_people)
            if self._field.foresee(people, self._of_base).insufficient:
                continue
            for name, model in self._make_models(people, self._seed + number):
                judged[name].append(self._field.judge(people, self._of_base, self._ask(model)))
        for name, found in judged.items():
            yield describe(name, num_people, num_nights, found)
        untouched = []
        for number in range(NUM_UNTOUCHED):
            people = self._draw_people(number, num_people)
            if not self._field.foresee(people, self._of_base).insufficient:
                untouched.append(self._field.judge(people, self._of_base, self._of_base))
        yield describe(UNTOUCHED, num_people, NUM_UNTOUCHED, untouched)

    def _draw_people(self, number: int, num_people: int) -> list[str]:
        drawn: list[str] = np.random.default_rng(self._seed + number).permutation(self._others)[:num_people].tolist()
        return drawn

    def _ask(self, model: nn.Module) -> Answers:
        return self._field.ask(self._base, model, self._candidates)

    def _make_models(self, people: Sequence[str], seed: int) -> Iterator[tuple[str, nn.Module]]:
        wave = self._field.plan(people)
        train_samples = self._field.train
        is_canary = train_samples.is_among(wave.forgetting.canary_ids)
        canaries = np.unique(train_samples.subject_ids[is_canary]).tolist()
        yield EXACT, retrain(self._field, self._device, [*people, *canaries], seed)
        yield CANARIES_ALONE, retrain(self._field, self._device, canaries, seed)
        write_json(WAVE, wave)
        build_adversarial_set(self._params, self._device)
        write_json(ATTEMPT, Attempt(attempt=1))
        for attempt in METHODS:
            unlearn(try_first(self._params, attempt), self._device)
            yield attempt.method, load_for(self._params, read_shape(TRAIN), self._device, UNLEARNED)


def _list_methods() -> list[str]:
    return [attempt.method for attempt in METHODS]


def describe(planted: str, num_people: int, num_nights: int, judged: Sequence[Judgement]) -> CanaryRow:
    """Returns the row of the sufficient nights of one size."""
    grounds = Counter(name for judgement in judged for name in sorted(set(judgement.list_grounds())))
    apart = sum("look more remembered" in judgement.lenient.reason for judgement in judged)
    return CanaryRow(
        planted=planted,
        num_people=num_people,
        num_nights=num_nights,
        num_sufficient=len(judged),
        num_passed=sum(not judgement.is_refused for judgement in judged),
        num_canaries=float(np.mean([judgement.night.num_canaries for judgement in judged] or [0])),
        grounds=dict(grounds),
        num_apart=apart,
        power_asked=float(np.mean([judgement.night.power_asked or 0.0 for judgement in judged] or [0])),
    )


def add_up(rows: Sequence[CanaryRow]) -> list[CanaryRow]:
    """Returns the nights of all splits together, by model and size."""
    added: dict[tuple[str, int], CanaryRow] = {}
    for row in rows:
        before = added.get(key := (row.planted, row.num_people))
        added[key] = row if before is None else _add(before, row)
    return list(added.values())


def _add(first: CanaryRow, second: CanaryRow) -> CanaryRow:
    weights = max(first.num_sufficient, 1e-9), max(second.num_sufficient, 1e-9)

    def average(*values: float) -> float:
        return float(np.average(values, weights=weights))

    return replace(
        first,
        num_nights=first.num_nights + second.num_nights,
        num_sufficient=first.num_sufficient + second.num_sufficient,
        num_passed=first.num_passed + second.num_passed,
        num_apart=first.num_apart + second.num_apart,
        num_canaries=average(first.num_canaries, second.num_canaries),
        power_asked=average(first.power_asked, second.power_asked),
        grounds=dict(Counter(first.grounds) + Counter(second.grounds)),
    )


def print_rows(rows: Sequence[CanaryRow]) -> None:
    """Prints the rows."""
    print(f"{'model':<32}{'people':>7}{'nights':>8}{'suff.':>7}{'passed':>8}{'canaries':>10}{'apart':>7}{'said':>7}")
    for row in rows:
        named = ", ".join(f"{name} {count}" for name, count in row.grounds.items())
        print(
            f"{row.planted:<32}{row.num_people:>7}{row.num_nights:>8}{row.num_sufficient:>7}{row.num_passed:>8}"
            f"{row.num_canaries:>10.0f}{row.num_apart:>7}{row.power_asked:>7.0%}  {named}",
            flush=True,
        )


def choose_params() -> Params:
    """Returns the demo's parameters with canaries, and one approximate attempt, as shipped."""
    params = load_demo_params()
    audit = params.audit.model_copy(update={"canaries": MAX_CANARIES})
    return try_first(params.model_copy(update={"audit": audit}), METHODS[0])


def try_first(params: Params, attempt: AttemptParams) -> Params:
    """Returns the parameters in which this attempt is made, and exact retraining would follow."""
    attempts = (attempt, params.unlearning.attempts[-1])
    return params.model_copy(update={"unlearning": params.unlearning.model_copy(update={"attempts": attempts})})


def main() -> None:
    """Runs the nights of every split, prints the table after each and writes it."""
    options = _read_options()
    params = choose_params()
    device = configure_torch(params.runtime)
    rows: list[CanaryRow] = []
    for seed in range(options.first_seed, options.first_seed + options.splits):
        with tempfile.TemporaryDirectory() as folder, chdir(folder), redirect_stdout(sys.stderr):
            own = set_seed(params, seed)
            prepare_store(own, device)
            train(own, device)
            train_references(own, device)
            keep_retrained(None)
            WAVE_BASE.symlink_to(BASE_MODEL.resolve())
            nights = Nights(own, device, seed)
            rows += [row for size in options.people for row in nights.draw(size, options.nights)]
        added = add_up(rows)
        print_rows(added)
        splits = list(range(options.first_seed, seed + 1))
        write_json(
            options.out,
            {"machine": describe_machine(device), "splits": splits, "rows": [asdict(row) for row in added]},
        )


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.canaries", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--people", type=int, nargs="+", default=NUM_PEOPLE, help="who ask in a night")
    parser.add_argument("--splits", type=int, default=4)
    parser.add_argument("--first-seed", type=int, default=70, help="of the splits")
    parser.add_argument("--nights", type=int, default=6, help="of each size on each split")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "digits_canaries.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
