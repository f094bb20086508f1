"""How many waves of which kind are run, side by side, and what is kept of those that have ended."""

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

from amun.core.files import replace_file
from amun.core.processes import end_with_parent
from tests.faults.kills import kill_at_any_moment, kill_in_steps
from tests.faults.lab import Fault, Lab
from tests.faults.tally import Tally
from tests.faults.waves import run_wave

INPUTS = "inputs"
# what a wave adds, for those that are under way
FORESEEN_KILLS = {kill_in_steps.__name__: 41, kill_at_any_moment.__name__: 4}
REFUSED_EVERY = 4


@dataclass(frozen=True)
class Asked:
    """What was asked for.

    Attributes:
        kills: of single steps.
        moments: kills of whole waves at any moment.
        others: waves with each other kind of fault in their way.
        minutes: after which no wave is begun; None is until all is done.
        lanes: waves that are run side by side.
        seed: for all that is drawn.
    """

    kills: int = 0
    moments: int = 0
    others: int = 0
    minutes: float | None = None
    lanes: int = 1
    seed: int = 0

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> "Asked":
        """Returns what the variables of the same names, in capitals, ask for; without a number of anything minutes."""
        numbers = {
            name: int(variables[name.upper()] or 0)
            for name in ("kills", "moments", "others")
            if variables.get(name.upper())
        }
        minutes = variables.get("MINUTES") or ("" if numbers else "10")
        return cls(
            **numbers,
            minutes=float(minutes) if minutes else None,
            lanes=int(variables.get("LANES") or 1),
            seed=int(variables.get("SEED") or 0),
        )

    def name_goal(self, kind: str) -> int | None:
        """Returns how much of a kind is asked for, in kills or in waves; None: as much as there is time for."""
        if not (self.kills or self.moments or self.others):
            return None
        return {kill_in_steps.__name__: self.kills, kill_at_any_moment.__name__: self.moments}.get(kind, self.others)


def choose_next(asked: Asked, faults: Sequence[Fault], done: Tally, under_way: Counter[str]) -> Fault | None:
    """Returns the kind of which the least is done, of what is asked for; None: all of it is done."""
    left: list[tuple[float, int]] = []
    for place, fault in enumerate(faults):
        kind = fault.__name__
        goal, waves = asked.name_goal(kind), done.kinds[kind] + under_way[kind]
        if goal is None:
            left.append((waves, place))
            continue
        per_wave = FORESEEN_KILLS.get(kind)
        reached = waves if per_wave is None else done.kills[kind] + under_way[kind] * per_wave
        if reached < goal:
            left.append((reached / goal, place))
    return faults[min(left)[1]] if left else None


def run_waves(labs: Sequence[Lab], asked: Asked, faults: Sequence[Fault], progress: "Progress") -> None:
    """Runs waves, each in a process of its own, until there are as many as are asked for or the time is over.

    Args:
        labs: the waves of a kind are made in the first; every fourth one in the last.
        asked: for.
        faults: that are put in their way.
        progress: gets what came of each.
    """
    deadline = monotonic() + asked.minutes * 60 if asked.minutes is not None else None
    under_way: dict[Future[Tally], tuple[str, int]] = {}
    with ProcessPoolExecutor(asked.lanes, get_context("fork"), end_with_parent, (os.getpid(),)) as pool:
        while True:
            while len(under_way) < asked.lanes and (deadline is None or monotonic() < deadline):
                fault = choose_next(asked, faults, progress.tally, Counter(kind for kind, _ in under_way.values()))
                if fault is None:
                    break
                number = progress.begin(fault.__name__)
                lab = labs[-1 if number % REFUSED_EVERY == REFUSED_EVERY - 1 else 0]
                lab_of_wave = replace(lab, random=Random(f"{asked.seed} {fault.__name__} {number}"))  # noqa: S311
                under_way[pool.submit(partial(_run, lab_of_wave, number, fault))] = fault.__name__, number
            if not under_way:
                return
            for ended in wait(under_way, return_when=FIRST_COMPLETED).done:
                progress.keep(*under_way.pop(ended), ended.result())


def _run(lab: Lab, number: int, fault: Fault) -> Tally:
    lab.tally, lab.endings = Tally(), []
    run_wave(lab, number, fault)
    return lab.tally


class Progress:
    """What came of the waves that have ended, in a file with a line for each; a run that is begun anew goes on.

    Attributes:
        tally: of all of them.
    """

    def __init__(self, path: Path | None) -> None:
        """Reads what there is; None: nothing is kept."""
        self._path = path
        self.tally = Tally()
        self._begun: set[tuple[str, int]] = set()
        if path is not None and path.exists():
            text = path.read_text(encoding="utf-8")
            if not text.endswith("\n"):  # whoever was killed has left half a line
                text = text[: text.rfind("\n") + 1]
                with replace_file(path) as new:
                    new.write_text(text, encoding="utf-8")
            for line in text.splitlines():
                self._add(**json.loads(line))

    def begin(self, kind: str) -> int:
        """Returns the number of the next wave of a kind, from 0: one that was killed under way is made anew."""
        number = next(number for number in count() if (kind, number) not in self._begun)
        self._begun.add((kind, number))
        return number

    def has(self, kind: str) -> bool:
        """Tells whether there is one of a kind."""
        return (kind, 0) in self._begun

    def keep(self, kind: str, number: int, tally: Tally) -> None:
        """Adds what came of one wave."""
        self.tally.add(tally)
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"kind": kind, "number": number} | vars(tally)) + "\n")

    def _add(self, kind: str, number: int, kills: dict[str, int], kinds: dict[str, int], **rest: Any) -> None:
        self._begun.add((kind, number))
        self.tally.add(Tally(kills=Counter(kills), kinds=Counter(kinds), **rest))
