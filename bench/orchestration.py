"""What the orchestration adds to a wave: wall clock of `amun wave run` less the stages' own computing."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from amun.core.errors import AmunError, InputError
from amun.core.keys import load_secret, subject_key
from amun.core.paths import SECRET, TRAIN
from amun.evidence.wave import read_forgotten
from amun.store.store import read_owners
from bench.statistics import mean_and_deviation
from tasks.tools.environment import set_environment
from tasks.tools.prefect_server import provide_prefect

NUM_SUBJECTS = 3  # of a wave


def print_overhead(root: Path, num_waves: int) -> None:
    """Runs real waves in the workspace `root`, a Prefect server running, and prints what each took.

    Raises:
        InputError: `root` is no workspace, or holds too few people.
    """
    workspace = root.resolve()
    if not (workspace / SECRET).exists():
        raise InputError(f"{workspace} is no workspace: run `amun init` there first")
    set_environment(workspace)
    provide_prefect(workspace).wait()
    print(f"machine: {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} before", flush=True)
    subjects = _find_subjects(workspace, NUM_SUBJECTS * num_waves)
    added = []
    for number in range(num_waves):
        _run(workspace, "request", "add", *subjects[number * NUM_SUBJECTS : (number + 1) * NUM_SUBJECTS])
        started_at = time.monotonic()
        _run(workspace, "wave", "run")
        seconds = time.monotonic() - started_at
        wave = json.loads(_run(workspace, "wave", "list", "--json"))[-1]
        computing, num_attempts = wave["summary"]["stage_seconds"], wave["summary"]["attempt"]
        added.append(seconds - computing)
        print(
            f"wave {wave['number']}, ended by attempt {num_attempts}: {seconds:.1f} s, "
            f"of which the stages computed {computing:.1f} s; the orchestration added {added[-1]:.1f} s",
            flush=True,
        )
    mean, deviation = mean_and_deviation(added)
    print(f"added to a wave: {mean:.1f} ± {deviation:.1f} s, at most {max(added):.1f} s ({num_waves} waves)")


def _find_subjects(workspace: Path, num_subjects: int) -> list[str]:
    """Returns people of whom training samples are held and whom no wave has forgotten."""
    secret = load_secret(workspace)
    gone = {key for wave in read_forgotten(workspace) for key in wave.subject_keys}
    subjects = sorted(set(read_owners(workspace / TRAIN).subject_ids.tolist()))
    held = [subject for subject in subjects if subject_key(secret, subject) not in gone]
    if len(held) < num_subjects:
        raise InputError(f"{workspace}: only {len(held)} people are left to forget; ask for fewer waves")
    return held[:num_subjects]


def _run(workspace: Path, *arguments: str) -> str:
    """Runs an `amun` command; returns what it printed.

    Raises:
        AmunError: it failed; with its own line.
    """
    command = [str(Path(sys.executable).parent / "amun"), *arguments]
    finished = subprocess.run(command, cwd=workspace, check=False, capture_output=True, text=True)
    if finished.returncode:
        raise AmunError(f"amun {' '.join(arguments[:2])}: {finished.stderr.strip()}")
    return finished.stdout
