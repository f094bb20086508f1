"""What starting up costs: process CPU time of a training stage and of commands, in a tiny workspace.

    python -m bench.overhead                      of this checkout
    python -m bench.overhead --against ../before  beside another checkout, which has a `.venv` of its own
    python -m bench.overhead --against ../before --targets   with exit code 1 where a share is missed, also of this
                                                  checkout alone: the digests that are compared before a stage reads
                                                  its inputs, and the list of many requests

CPU time is user and system time of a command with all that it has started and waited for, the least of the rounds.
The checkouts take turns, so that a busy machine slows both alike.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import chdir
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import yaml

from amun.core.errors import AmunError
from amun.core.paths import LEDGER, PARAMS, TRAIN
from amun.ledger import Ledger
from amun.store.samples import read_samples
from tasks.tools import dvc
from tasks.tools.digests import forget_digests
from tasks.tools.git import run_git
from tasks.tools.sound import make_sound

ROOT = Path(__file__).resolve().parent.parent
STAGE = "a training stage"
INIT = "amun init"
# the share that each may need of the other checkout's time, where that is of version 0.1
TARGETS = {INIT: 1 / 2, "amun status": 1 / 3, "amun model list": 1 / 3}
# of this checkout alone: the share of a training stage, and seconds
CHECK, MAX_CHECK = "digests of inputs", 0.01
LIST, NUM_LISTED, MAX_LIST_SECONDS = "amun request list", 100_000, 2.0
COMMANDS = {"amun status": ("status",), "amun model list": ("model", "list"), "amun wave run": ("wave", "run")}
CLONE = (
    "import sys; from pathlib import Path; from flows.demo import ensure_clone; ensure_clone(*map(Path, sys.argv[1:]))"
)


@dataclass(frozen=True)
class Build:
    """A checkout and a tiny workspace that runs its code."""

    checkout: Path
    workspace: Path
    init: float = 0.0

    def spend(self, program: str, *arguments: str) -> float:
        """Runs a program of the checkout's environment in the workspace; returns its CPU seconds.

        Raises:
            AmunError: it failed; with what it said last.
        """
        before = _read_spent()
        finished = subprocess.run(
            [self.checkout / ".venv/bin" / program, *arguments],
            cwd=self.workspace if self.workspace.exists() else self.checkout,
            check=False,
            capture_output=True,
            text=True,
        )
        if finished.returncode:
            raise AmunError(f"{self.checkout}: {program} {arguments[0]}: {finished.stderr.strip()[-300:]}")
        return _read_spent() - before


def _read_spent() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def build_workspace(checkout: Path, folder: Path) -> Build:
    """Makes a workspace of the checkout's code as it is now, with a base that takes seconds."""
    build = Build(checkout, folder)
    build.spend("python", "-c", CLONE, str(checkout), str(folder))
    content = yaml.safe_load((folder / PARAMS).read_text(encoding="utf-8"))
    content["training"]["epochs"] = 1
    content["references"] |= {"num_audit": 2, "num_target": 2}
    content["unlearning"]["attempts"] = [{"method": "retrain"}]
    (folder / PARAMS).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    run_git(folder, "commit", "--quiet", "--all", "--message", "A tiny model")
    return replace(build, init=build.spend("amun", "init"))


def measure_builds(builds: list[Build], num_rounds: int) -> list[dict[str, float]]:
    """Returns for each build the CPU seconds of the stage and of each command, the least of the rounds."""
    spent: list[dict[str, list[float]]] = [{STAGE: [], **{name: [] for name in COMMANDS}} for _ in builds]
    for _ in range(num_rounds):
        # before anybody is forgotten: the stage refuses afterwards
        for build, found in zip(builds, spent, strict=True):
            found[STAGE].append(build.spend("python", "-m", "amun.stages.train"))
    for number in range(num_rounds):
        for build, found in zip(builds, spent, strict=True):
            with chdir(build.workspace):
                people = sorted(set(read_samples(TRAIN).subject_ids.tolist()))
            build.spend("amun", "request", "add", people[number])
            for name, arguments in COMMANDS.items():
                found[name].append(build.spend("amun", *arguments))
    return [
        {INIT: build.init} | {name: min(seconds) for name, seconds in found.items()}
        for build, found in zip(builds, spent, strict=True)
    ]


def measure_alone(build: Build, num_rounds: int) -> dict[str, float]:
    """Returns the CPU seconds of comparing what a training stage reads, and of a first page of many requests."""
    root = build.workspace
    inputs = dvc.list_inputs(root, "train")
    checks = []
    for _ in range(num_rounds):
        forget_digests()
        began = time.process_time()
        make_sound(root, inputs)
        checks.append(time.process_time() - began)
    with Ledger(f"sqlite:///{root / LEDGER}") as ledger:
        strangers = [f"stranger {number}" for number in range(NUM_LISTED)]
        ledger.add_requests(strangers, received_at=None, now=datetime.now(UTC))
    return {CHECK: min(checks), LIST: min(build.spend("amun", "request", "list") for _ in range(num_rounds))}


def list_own_misses(here: dict[str, float], alone: dict[str, float]) -> list[str]:
    """Returns a line for each bound of this checkout alone that is missed."""
    share = alone[CHECK] / here[STAGE]
    checked = [f"{CHECK}: {share:.2%} of {STAGE}, more than {MAX_CHECK:.0%}"] if share > MAX_CHECK else []
    listed = alone[LIST] > MAX_LIST_SECONDS
    return checked + ([f"{LIST}: {alone[LIST]:.2f} s, more than {MAX_LIST_SECONDS:.0f}"] if listed else [])


def print_table(measured: list[dict[str, float]]) -> None:
    """Prints a line for each command; with two builds also the share that this one needs of the other's time."""
    print(f"{'CPU seconds':<20}{'here':>8}" + (f"{'there':>8}{'ratio':>8}" if len(measured) > 1 else ""))
    for name, here in measured[0].items():
        others = "".join(f"{there[name]:>8.2f}{here / there[name]:>8.2f}" for there in measured[1:])
        print(f"{name:<20}{here:>8.2f}{others}")


def list_misses(here: dict[str, float], there: dict[str, float]) -> list[str]:
    """Returns a line for each command that needs more than its share of the other checkout's time."""
    shares = {name: here[name] / there[name] for name in TARGETS}
    return [
        f"{name}: {share:.2f}, more than {TARGETS[name]:.2f}" for name, share in shares.items() if share > TARGETS[name]
    ]


def main() -> None:
    """Runs the bench."""
    parser = argparse.ArgumentParser(prog="python -m bench.overhead", description=__doc__)
    parser.add_argument("--against", type=Path, metavar="CHECKOUT")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--targets", action="store_true", help="exit with 1 where a command needs more than its share")
    options = parser.parse_args()
    checkouts = [ROOT, *([options.against.resolve()] if options.against else [])]
    print(f"machine: {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} before", flush=True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            builds = [build_workspace(path, Path(folder) / str(number)) for number, path in enumerate(checkouts)]
            measured = measure_builds(builds, options.rounds)
            alone = measure_alone(builds[0], options.rounds)
        print_table(measured)
        print(f"{CHECK:<20}{alone[CHECK]:>8.4f}\n{LIST:<20}{alone[LIST]:>8.2f}  of {NUM_LISTED:,}")
        misses = [line for there in measured[1:] for line in list_misses(measured[0], there)]
        misses += list_own_misses(measured[0], alone)
        if options.targets and misses:
            print("missed: " + "; ".join(misses))
            sys.exit(1)
    except AmunError as error:
        print(f"bench.overhead: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
