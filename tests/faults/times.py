"""Waves at odd times: nights that were missed, and a clock that jumps while a wave runs."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Timer

from bench.month.clock import Clock
from tests.faults.lab import Lab
from tests.warm import run_warm
from tests.workspaces import Site, choose_people, describe

NIGHTS = 5
JUMPS = (timedelta(hours=-2), timedelta(minutes=-5), timedelta(minutes=10), timedelta(hours=3))


def miss_five_nights(_: Lab, site: Site, __: Path) -> None:
    """Has people ask on five days, in whose nights the machine is off; the wave that comes then is for all of them."""
    people = choose_people(site)
    now = datetime.now(UTC)
    days = [now - timedelta(days=NIGHTS - number * NIGHTS // len(people)) for number in range(len(people))]
    rows = [f"{person},{day:%Y-%m-%dT%H:%M:%SZ}" for person, day in zip(people, days, strict=True)]
    table = site.root.parent / "people.csv"
    table.write_text("\n".join(["subject_id,received_at", *rows]), encoding="utf-8")
    site.run("amun", "request", "add", "--csv", str(table))
    assert "nothing is open" not in site.run("amun", "wave", "run", "--dry-run")


def jump_the_clock(lab: Lab, site: Site, _: Path) -> None:
    """Sets the clock of a wave and of all that it starts, while it runs; Prefect's server keeps its own."""
    clock = Clock(site.root.parent)
    timer = Timer(lab.random.uniform(0, 2 * lab.seconds), clock.jump, [lab.random.choice(JUMPS)])
    timer.start()
    try:
        # the clock is a library that a new interpreter alone loads
        with run_warm(None):
            finished = Site(site.root, site.variables | clock.variables).start("amun", "wave", "run")
    finally:
        timer.cancel()
    assert finished.returncode == 0, describe(finished)


def has_compiler() -> bool:
    """Tells whether the clock can be made here."""
    return shutil.which("cc") is not None
