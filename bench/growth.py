"""What a year of nights takes in git: 365 waves of 150 samples each, recorded by the wave's own functions.

    python -m bench.growth

Exit code 1 where `.git` ever takes more than 50 MB.
"""

import argparse
import secrets
import sys
import tempfile
import time
from pathlib import Path

from amun.core.paths import FORGOTTEN, WAVE
from amun.evidence.wave import ForgottenWave, Wave, write_json
from tasks.tools.git import commit_paths, name_tag, pack_objects, run_git, tag_commit

NUM_NIGHTS = 365
NUM_PEOPLE, NUM_SAMPLES, NUM_HELD_OUT = 50, 150, 30
MAX_BYTES = 50e6


def draw_night(number: int) -> ForgottenWave:
    """Returns what a night might forget: ids as they are, random digits that nothing compresses."""
    people, samples, held_out = (
        [secrets.token_hex(16) for _ in range(count)] for count in (NUM_PEOPLE, NUM_SAMPLES, NUM_HELD_OUT)
    )
    return ForgottenWave(number=number, subject_keys=people, forget_ids=samples, held_out_ids=held_out)


def record_night(root: Path, forgotten: list[ForgottenWave], night: ForgottenWave) -> None:
    """Writes and commits the files of a wave that grow with the line before it."""
    wave = Wave(
        number=night.number,
        model="model",
        kind="deletion",
        secret_fingerprint="0" * 32,
        base_version=night.number,
        base_digest="0" * 64,
        yardstick=0.9,
        forgetting=night,
        forgotten=forgotten,
    )
    write_json(root / WAVE, wave)
    write_json(root / FORGOTTEN, [*forgotten, night])
    commit = commit_paths(root, [str(WAVE), str(FORGOTTEN)], f"wave {night.number}")
    tag_commit(root, name_tag(night.number), commit, f"wave {night.number}")


def measure_size(folder: Path) -> int:
    """Returns how many bytes the files below a folder hold."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """Runs the bench."""
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("--nights", type=int, default=NUM_NIGHTS)
    nights = parser.parse_args().nights
    largest, num_packed, seconds = 0, 0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        run_git(root, "init", "--quiet")
        forgotten: list[ForgottenWave] = []
        for number in range(1, nights + 1):
            night = draw_night(number)
            record_night(root, forgotten, night)
            forgotten.append(night)
            largest = max(largest, measure_size(root / ".git"))
            started = time.perf_counter()
            num_packed += pack_objects(root)
            seconds += time.perf_counter() - started
            if number % 73 == 0:
                print(f"after {number} nights: {measure_size(root / '.git') / 1e6:.1f} MB in git", flush=True)
    print(f"at most {largest / 1e6:.1f} MB in git; packed {num_packed} times, {seconds / nights:.2f} s a night")
    if largest > MAX_BYTES:
        print(f"missed: more than {MAX_BYTES / 1e6:.0f} MB")
        sys.exit(1)


if __name__ == "__main__":
    main()
