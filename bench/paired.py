"""Two searches in the same wave: the same people, base and references, the same attempts; what differs is D_A."""

import json
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from amun.core.errors import DivergedError, InputError
from amun.core.params import Params
from amun.core.paths import ATTEMPT
from amun.evidence.figures import AdversarialFigures, read_figures
from amun.evidence.wave import Attempt, write_json
from amun.stages.adversarial import build_adversarial_set
from amun.stages.unlearn import unlearn
from bench.seed import begin_wave, choose_search, measure, name_attempt, round_figure
from bench.statistics import find_interval, mean_and_deviation

MEASURES = ("ft_auc", "gap", "trace", "accuracy")


@dataclass(frozen=True)
class PairedRow:
    """What one attempt gave with the examples of one search.

    Attributes:
        seed: of the wave.
        search: that found D_A.
        attempt: its name.
        mean_delta_norm: of D_A.
        search_seconds: of wall clock that D_A took.
        ft_auc: on the test half.
        gap: |FT AUC - that of exact retraining|.
        trace: of the method, with examples by the same search; forget against test samples.
        accuracy: on the test half, 0 to 1.
    """

    seed: int
    search: str
    attempt: str
    mean_delta_norm: float
    search_seconds: float
    ft_auc: float
    gap: float
    trace: float
    accuracy: float


def run_paired_seed(
    params: Params, device: torch.device, num_forget: int, searches: Sequence[str], seed: int
) -> list[PairedRow]:
    """Runs a wave in the current, empty folder; returns a row for each search and attempt.

    Args:
        params: with this run's seed.
        device: to compute on.
        num_forget: about how many training samples to forget.
        searches: names for `adversarial.search`.
        seed: for the rows.
    """
    with redirect_stdout(sys.stderr):
        begin_wave(params, device, num_forget)
        exact = next(n for n, one in enumerate(params.unlearning.attempts, 1) if one.is_exact)
        build_adversarial_set(params, device)
        write_json(ATTEMPT, Attempt(attempt=exact))
        retrained = measure("retrained", params, device, lambda: unlearn(params, device))
        return [row for search in searches for row in _run_search(params, device, search, retrained.ft_auc, seed)]


def read_paired(path: Path, facts: dict[str, Any]) -> list[PairedRow]:
    """Returns the rows of a file of results; none where it tells other facts, or there is no such file."""
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    is_same = all(content.get(name) == told for name, told in facts.items())
    return read_rows(path) if is_same else []


def read_rows(path: Path) -> list[PairedRow]:
    """Returns the rows of a file of results.

    Raises:
        InputError: there is no such file.
    """
    if not path.is_file():
        raise InputError(f"{path}: not found; measure with --searches first")
    return [PairedRow(**row) for row in json.loads(path.read_text(encoding="utf-8"))["rows"]]


def merge_paired(rows: Sequence[PairedRow], measured: Sequence[PairedRow]) -> list[PairedRow]:
    """Returns the rows with what is measured now, in place of what was measured of the same before."""
    now = {(row.seed, row.search, row.attempt) for row in measured}
    return [*(row for row in rows if (row.seed, row.search, row.attempt) not in now), *measured]


def _run_search(
    params: Params, device: torch.device, search: str, retrained_ft_auc: float, seed: int
) -> list[PairedRow]:
    changed = choose_search(params, search)
    started_at = time.monotonic()
    build_adversarial_set(changed, device)
    search_seconds = time.monotonic() - started_at
    mean_delta_norm = round_figure(read_figures(AdversarialFigures).mean_delta_norm)
    rows = []
    for number, attempt in enumerate(params.unlearning.attempts, start=1):
        if attempt.is_exact:
            continue
        write_json(ATTEMPT, Attempt(attempt=number))
        try:
            row = measure(name_attempt(attempt), changed, device, lambda: unlearn(changed, device))
        except DivergedError as error:
            print(f"  {name_attempt(attempt)}: {error}")
            continue
        gap = round(abs(row.ft_auc - retrained_ft_auc), 4)
        rows.append(
            PairedRow(
                seed,
                search,
                row.name,
                mean_delta_norm,
                round(search_seconds, 3),
                row.ft_auc,
                gap,
                row.trace,
                row.accuracy,
            )
        )
    return rows


def print_paired(rows: Sequence[PairedRow], searches: Sequence[str]) -> None:
    """Prints for each attempt both searches side by side, and the second less the first with its 95 % interval."""
    first, second = searches
    tried = {name: [row.attempt for row in rows if row.search == name] for name in searches}
    for attempt in dict.fromkeys(name for name in tried[first] if name in tried[second]):
        print_across(rows, (first, attempt), (second, attempt))


def print_across(rows: Sequence[PairedRow], first: tuple[str, str], second: tuple[str, str]) -> None:
    """Prints two attempts, each by its search and name, side by side, and the second less the first, paired.

    Raises:
        InputError: no seed has both.
    """
    tables = [{row.seed: row for row in rows if (row.search, row.attempt) == one} for one in (first, second)]
    seeds = sorted(tables[0].keys() & tables[1].keys())
    if not seeds:
        known = sorted({f"{row.search} '{row.attempt}'" for row in rows})
        raise InputError(f"no seed has both {first} and {second}; there are {', '.join(known)}")
    print(f"\n{first[1]}, then {second[1]}; {len(seeds)} seeds")
    print(f"{'':<18}{first[0]:>20}{second[0]:>20}{'difference':>14}{'95 % interval':>20}")
    for measured in ("mean_delta_norm", "search_seconds", *MEASURES):
        values = [[float(getattr(table[seed], measured)) for seed in seeds] for table in tables]
        differences = [after - before for before, after in zip(*values, strict=True)]
        ends = [f"{end:+.4f}" for end in find_interval(differences) if end is not None]
        means = "".join(f"{mean_and_deviation(part)[0]:>20.4f}" for part in values)
        print(f"{measured:<18}{means}{mean_and_deviation(differences)[0]:>+14.4f}{f'[{chr(44).join(ends)}]':>20}")
