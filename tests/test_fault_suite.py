"""Faults for some minutes: nothing is lost, nothing is there twice, all ends as if nothing had been.

`make faults` takes longer: `MINUTES=60`, or until so much is done: `KILLS=1000 MOMENTS=100 OTHERS=10`, which are kills
of single steps, kills of whole waves at any moment, and waves with each other kind of fault in their way. `LANES=2`
waves run side by side; `SEED=3` draws other moments; `FAULTS="pause_the_owner"` names one kind alone. `PROGRESS=FILE`
keeps what came of each wave that has ended: killed and typed again, it goes on, and sums up.

Here the disk is full for a wave under way. How much room is asked for before one is in `tests/flows/test_findings.py`.
That Prefect's runs of missed nights become one is in `tests/tasks/tools/test_overdue_runs.py`. A whole month of nights
is `python -m bench.month`.
"""

import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from random import Random

import pytest

from tests.faults.inputs import try_inputs
from tests.faults.lab import Lab
from tests.faults.plan import INPUTS, Asked, Progress, run_waves
from tests.faults.tally import Tally
from tests.faults.times import has_compiler, jump_the_clock
from tests.faults.waves import FAULTS
from tests.fixtures import make_first_wave
from tests.warm import WarmProcess, run_warm
from tests.workspaces import Site

CHOSEN = os.environ.get("FAULTS", "").split()
PROGRESS = os.environ.get("PROGRESS", "")
NUM_INPUTS = 20_000


@pytest.mark.long
@pytest.mark.timeout(0)
def test_nothing_is_lost_or_twice_or_wrong(
    wave_zero: Site, wave_one: Site, warm: WarmProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {INPUTS, *(fault.__name__ for fault in FAULTS)}
    assert names.issuperset(CHOSEN), f"FAULTS takes these names: {' '.join(sorted(names))}"
    asked, progress = Asked.read(os.environ), Progress(Path(PROGRESS) if PROGRESS else None)
    faults = [fault for fault in FAULTS if not CHOSEN or fault.__name__ in CHOSEN]
    if not has_compiler():  # without one there is no clock to be set
        faults = [fault for fault in faults if fault is not jump_the_clock]
    if (not CHOSEN or INPUTS in CHOSEN) and not progress.has(INPUTS):
        tally = Tally()
        with tally.judge(INPUTS):
            tally.inputs = try_inputs(NUM_INPUTS, asked.seed)
        progress.keep(INPUTS, 0, tally)
    with run_warm(warm):
        # each wave draws for itself
        # measured again: the fixture's wave may have been a slow one, and moments after a wave's end kill nobody
        seconds = measure_wave(make_first_wave(wave_zero, tmp_path / "timed")[0])
        lab = Lab(tmp_path, wave_zero, wave_one, Random(), seconds)  # noqa: S311
        run_waves([replace_attempts(lab), lab], asked, faults, progress)
    told = progress.tally
    with capsys.disabled():
        print("", *told.told, told, sep="\n")
    assert (told.lost, told.twice, told.wrong) == (0, 0, 0), told.told
    assert told.waves >= told.kinds.total() >= bool(faults), "no wave was run, or one is not complete"


def replace_attempts(lab: Lab) -> Lab:
    """Returns a lab whose waves make no attempt that cannot pass: each run that goes on makes it anew."""
    zero = lab.zero.copy(lab.folder / "zero")
    zero.change_params(lambda params: params["unlearning"]["attempts"].pop(0))
    one = make_first_wave(zero, lab.folder / "one")[0]
    return replace(lab, zero=zero, one=one, seconds=measure_wave(one))


def measure_wave(site: Site) -> float:
    """Returns how many seconds the first wave of a workspace took."""
    wave = site.load("wave", "show", "1")
    opened, closed = (datetime.fromisoformat(wave[name]) for name in ("opened_at", "closed_at"))
    return (closed - opened).total_seconds()
