"""What comes in the way of a night. How a run is killed, or starved, is the fault suite's (`tests/faults`)."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from random import Random
from threading import Timer

from amun.core.paths import KEYS, LEDGER
from bench.month.clock import Clock
from bench.month.plan import Fault
from tests.faults.disks import leave_things_behind, run_in_little_room, take_rights_away
from tests.faults.kills import kill_by, kill_in_so_many
from tests.faults.lab import Lab
from tests.faults.owners import let_servers_fail, pause_the_owner
from tests.trap import FAILED, open_trap
from tests.workspaces import Site, describe

MAX_KILLS, NUM_STEPS = 3, 3
ROOM = 65_536  # bytes that ledger and key store may grow by: what is full is the rest
JUMPS = (timedelta(hours=-2), timedelta(minutes=-5), timedelta(minutes=10), timedelta(hours=3))
# runs that end so are no failed nights: whoever is stopped, or has lost the wave to another run, is told of it
# by nobody; and where the ledger cannot be written there is no night
NO_NIGHT = ("term", "stop", ".amun")


def make_lab(folder: Path, site: Site, seed: int, seconds: float) -> Lab:
    """Returns where the faults of one night are made, of which a quiet one takes so many seconds."""
    return Lab(folder, site, site, Random(seed), seconds)  # noqa: S311 - of a test, no secret


def put_in_the_way(fault: Fault, lab: Lab, site: Site, said: Path, clock: Clock) -> bool:
    """Runs a night with a fault in its way, and returns whether it came in time; how each run ended the lab keeps.

    Raises:
        AssertionError: a run has ended as it should not.
    """
    has_struck = RUNS[fault](lab, site, said, clock)
    return any(ended for _, ended in lab.endings) if has_struck is None else has_struck


def run_quietly(lab: Lab, site: Site) -> None:
    """Runs a night that has to end well.

    Raises:
        AssertionError: it has not.
    """
    finished = site.start("amun", "wave", "run")
    lab.note("none", finished.returncode)
    assert finished.returncode == 0, describe(finished)  # noqa: S101 - as the fault suite tells it


def is_failed_night(what: str, ended: int) -> bool:
    """Tells whether somebody has to be told that a run was a failed night."""
    return ended == FAILED and what not in NO_NIGHT


def _starve(lab: Lab, site: Site, said: Path, _: Clock) -> None:
    # its log may be longer than itself by now, and would find no room for a line
    with closing(sqlite3.connect(site.root / LEDGER, timeout=60)) as ledger:
        ((is_busy, *_),) = ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        assert not is_busy, "somebody reads the ledger's log"  # noqa: S101
    held = max((site.root / path).stat().st_size for path in (LEDGER, KEYS))
    run_in_little_room(lab, site, said, [held + ROOM])


def _leave_behind(lab: Lab, site: Site, said: Path, _: Clock) -> bool:
    leave_things_behind(lab, site, said)
    run_quietly(lab, site)
    return True


def _pause(lab: Lab, site: Site, said: Path, _: Clock) -> bool:
    pause_the_owner(lab, site, said)
    lab.note("none", 0)  # the run that has taken the wave over
    return True


def _jump(lab: Lab, site: Site, _: Path, clock: Clock) -> bool:
    timer = Timer(lab.random.uniform(2, lab.seconds / 2), clock.jump, [lab.random.choice(JUMPS)])
    timer.start()
    try:
        run_quietly(lab, site)
        return timer.finished.is_set()
    finally:
        timer.cancel()


def _leave(lab: Lab, site: Site, said: Path, _: Clock) -> None:
    with said.open("w+", encoding="utf-8") as file, open_trap(site, file, "wave", "run") as run_and_die:
        lab.note("in", run_and_die("during", "unlearn"))


def _miss(*_: object) -> bool:
    """The machine is off."""
    return True


# the nights; each returns whether it came in time; None where runs that ended otherwise than well say so
RUNS: dict[Fault, Callable[[Lab, Site, Path, Clock], bool | None]] = {
    "none": lambda lab, site, _, __: run_quietly(lab, site),
    "killed at any moment": lambda lab, site, said, _: kill_by(lab, site, said, ("in", "group", "stage"), MAX_KILLS),
    "killed in its steps": lambda lab, site, said, _: kill_in_so_many(lab, site, said, NUM_STEPS),
    "asked to end": lambda lab, site, said, _: kill_by(lab, site, said, ("term",), 1),
    "disk full": _starve,
    "folder read-only": lambda lab, site, said, _: take_rights_away(lab, site, said),
    "MLflow silent": lambda lab, site, said, _: let_servers_fail(lab, site, said),
    "torn locks": _leave_behind,
    "owner paused": _pause,
    "clock jumps": _jump,
    "killed and left": _leave,
    "missed": _miss,
}
