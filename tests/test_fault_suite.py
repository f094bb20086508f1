"""Faults for some minutes: nothing is lost, nothing is there twice, all ends as if nothing had been.

`make faults MINUTES=60` takes longer, `FAULTS="pause_the_owner"` one kind of wave alone, `SEED=3` other moments.
"""

import os
from datetime import datetime
from pathlib import Path
from random import Random
from time import monotonic

import pytest

from tests.faults.inputs import try_inputs
from tests.faults.waves import FAULTS, Lab, run_wave
from tests.warm import WarmProcess, run_warm
from tests.workspaces import Site

MINUTES, SEED = float(os.environ.get("MINUTES", "10")), int(os.environ.get("SEED", "0"))
CHOSEN = os.environ.get("FAULTS", "").split()
NUM_INPUTS = 20_000


@pytest.mark.long
def test_nothing_is_lost_or_twice_or_wrong(
    wave_zero: Site, wave_one: Site, warm: WarmProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"inputs", *(fault.__name__ for fault in FAULTS)}
    assert names.issuperset(CHOSEN), f"FAULTS takes these names: {' '.join(sorted(names))}"
    faults = [fault for fault in FAULTS if not CHOSEN or fault.__name__ in CHOSEN]
    lab = Lab(tmp_path, wave_zero, wave_one, Random(SEED), measure_wave(wave_one))  # noqa: S311
    if not CHOSEN or "inputs" in CHOSEN:
        with lab.tally.judge("inputs"):
            lab.tally.inputs = try_inputs(NUM_INPUTS, SEED)
    number, deadline = 0, monotonic() + MINUTES * 60
    with run_warm(warm):
        while faults and monotonic() < deadline:
            run_wave(lab, number, faults[number % len(faults)])
            number += 1
    with capsys.disabled():
        print("", *lab.tally.told, lab.tally, sep="\n")
    assert (lab.tally.lost, lab.tally.twice, lab.tally.wrong) == (0, 0, 0), lab.tally.told
    assert lab.tally.waves >= number >= bool(faults), "no wave was run, or one is not complete"


def measure_wave(site: Site) -> float:
    """Returns how many seconds the first wave of a workspace took."""
    wave = site.load("wave", "show", "1")
    opened, closed = (datetime.fromisoformat(wave[name]) for name in ("opened_at", "closed_at"))
    return (closed - opened).total_seconds()
