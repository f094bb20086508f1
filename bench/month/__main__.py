"""A month of nights: is everybody forgotten and erased in time, and is what has to be told told, and nothing else?

    python -m bench.month --folder /var/tmp/month            thirty nights, each kind of fault in one at least
    python -m bench.month --folder /var/tmp/month --seed 3   other people, ways, faults and moments
    python -m bench.month --folder /var/tmp/month --until 15 the same month, in whose second half nobody asks

A workspace of noisy digits lives through a month on a clock of its own. On each day people ask by hand, in files, in
the intake folder or by HTTP, by the clock of one of two laws. At noon cron types `amun alert check`, and at night
`amun wave run` runs with a fault in its way, or does not run at all. Then it is judged from outside: by what was asked,
git, the registry, a file kept from the first day, and alerts as three receivers got them. Exit code 1 where anything is
not as it has to be. The folder keeps workspace, logs, `figures.json` and `report.html`.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.month.clock import Clock
from bench.month.days import START, Month
from bench.month.figures import count, list_rows
from bench.month.judge import find_faults
from bench.month.kept import keep_first_day
from bench.month.plan import draw_month
from bench.month.told import Receivers, receive
from bench.month.ways import Desk, serve
from tasks.tools.environment import API_VARIABLE, SILENCE
from tasks.tools.prefect_server import provide_prefect
from tasks.tools.servers import UI_VARIABLE
from tests.fixtures import QUIET
from tests.warm import WarmProcess, run_warm
from tests.workspaces import BIN, Site, list_people, make_clone

INTAKE = ".amun/requests"


def set_params(params: dict[str, Any], receivers: Receivers) -> None:
    """Makes people of few noisy images each, nights that are retrained exactly, and names who is told."""
    params["data"] |= {"options": {"noise": 0.3}, "subject_max_samples": 5}
    params["references"]["num_audit"] = 6
    # the first is made in some nights alone, and comes to nothing
    params["unlearning"]["attempts"] = [{"method": "amun", "learning_rate": 1000.0}, {"method": "retrain"}]
    params["gate"]["insufficient"] = "retrain"
    params["intake"]["source"] = INTAKE
    params["alerts"] |= {
        "mail_to": ["dpo@example.org"],
        "mail_from": "amun@example.org",
        "command": receivers.command,
    }


def live(folder: Path, seed: int, num_nights: int, until: int, tell: Callable[[str], None]) -> list[str]:
    """Lives through a month and judges it; returns what is not as it has to be, a line each.

    Args:
        folder: a new one.
        seed: of all that is drawn.
        num_nights: of the month that is drawn.
        until: the last day of it on which anybody asks; a few quiet ones follow, until everybody is erased.
        tell: says how far it is.
    """
    for name in ("home", "tmp"):
        (folder / name).mkdir(parents=True)
    clock = Clock(folder)
    clock.set(START)
    own_server = {"PREFECT_HOME": str(folder / "prefect"), API_VARIABLE: "", UI_VARIABLE: ""}
    with set_environment(clock.variables | SILENCE | QUIET | own_server):
        provide_prefect(folder).wait()
        with receive(folder, lambda: clock.now) as receivers:
            own = {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), API_VARIABLE: os.environ[API_VARIABLE]}
            own |= {"DVC_SITE_CACHE_DIR": str(folder / "site"), **SILENCE, **receivers.variables}
            warm = WarmProcess(BIN, own)
            try:
                with run_warm(warm):
                    return _live_in(
                        make_workspace(folder, own, receivers), folder, seed, num_nights, until, clock, receivers, tell
                    )
            finally:
                warm.stop()


def make_workspace(folder: Path, variables: Mapping[str, str], receivers: Receivers) -> Site:
    """Returns a workspace with its first base."""
    site = make_clone(folder / "workspace", dict(variables))
    site.change_params(lambda params: set_params(params, receivers))
    site.run("amun", "init", "--remote", str(folder / "remote"))
    (site.root / INTAKE).mkdir()
    return site


def _live_in(
    site: Site,
    folder: Path,
    seed: int,
    num_nights: int,
    until: int,
    clock: Clock,
    receivers: Receivers,
    tell: Callable[[str], None],
) -> list[str]:
    began, kept = time.monotonic(), keep_first_day(site, folder, seed)
    days = draw_month(seed, num_nights, *list_people(site))[:until]
    with serve(site, folder / "api.log") as client:
        desk = Desk(site, clock, folder, site.root / INTAKE, client)
        month = Month(site, clock, desk, receivers, folder, kept, seed)
        month.live(days, tell)
    faults = find_faults(month)
    site.run("amun", "report", "--out", str(folder / "report.html"))
    figures = count(month, days, (time.monotonic() - began) / 60, len(faults))
    (folder / "figures.json").write_text(figures.model_dump_json(indent=2) + "\n", encoding="utf-8")
    for row in list_rows(figures):
        tell(row)
    return faults


@contextmanager
def set_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Has these variables set meanwhile, for this process and all that it starts."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def main() -> None:
    """Runs the bench."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.month", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="a new folder, outside this repository")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--nights", type=int, default=30, help="of the month that is drawn")
    parser.add_argument("--until", type=int, default=30, help="the last day of it on which anybody asks")
    options = parser.parse_args()
    if options.folder.exists():
        parser.error(f"--folder {options.folder}: it exists already; name a new one")
    # what it has started ends with it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    began = time.monotonic()
    folder = options.folder.resolve()
    faults = live(folder, options.seed, options.nights, options.until, lambda line: print(line, flush=True))
    print(*faults, f"{len(faults)} wrong, in {(time.monotonic() - began) / 60:.0f} minutes", sep="\n")
    if faults:
        sys.exit(1)


if __name__ == "__main__":
    main()
