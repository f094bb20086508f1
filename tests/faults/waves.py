"""Waves in whose way something comes: each ends as an uninterrupted one, or with what makes it go on."""

import shutil
from collections import Counter
from contextlib import nullcontext

from tests.faults.disks import fill_the_disk, leave_things_behind, take_rights_away
from tests.faults.kills import kill_at_any_moment, kill_in_steps, kill_the_intake
from tests.faults.lab import Fault, Lab
from tests.faults.machines import share_a_ledger
from tests.faults.owners import let_servers_fail, pause_the_owner
from tests.faults.times import jump_the_clock, miss_five_nights
from tests.test_faults import assert_same
from tests.warm import run_warm
from tests.workspaces import Site, choose_people, describe

# those that take least first: in few minutes there is one of each
FAULTS: tuple[Fault, ...] = (
    leave_things_behind,
    kill_the_intake,
    miss_five_nights,
    let_servers_fail,
    take_rights_away,
    pause_the_owner,
    fill_the_disk,
    kill_in_steps,
    kill_at_any_moment,
    share_a_ledger,
    jump_the_clock,
)
ASK_THEMSELVES = (kill_the_intake, miss_five_nights)  # the people ask by the fault's own way
COLD_EVERY = 20  # of so many waves of a kind of kills one starts all its programs as new interpreters


def run_wave(lab: Lab, number: int, fault: Fault) -> None:
    """Runs a wave with a fault in its way, to its end, and judges what is left."""
    folder = lab.folder / f"{fault.__name__}-{number:04d}"
    site = lab.zero.copy(folder / "workspace")
    people = choose_people(site)
    if fault not in ASK_THEMSELVES:
        site.run("amun", "request", "add", *people)
    where = f"{fault.__name__}, wave {number}"
    lab.tally.kinds[fault.__name__] += 1
    is_cold = fault in (kill_in_steps, kill_at_any_moment) and number % COLD_EVERY == COLD_EVERY - 1
    with lab.tally.judge(where):
        with run_warm(None) if is_cold else nullcontext():
            fault(lab, site, folder / "said")
        said = (folder / "said").read_text(encoding="utf-8", errors="replace") if (folder / "said").exists() else ""
        # where its database finds no room, MLflow tells all of its own before our line
        assert "Traceback" not in said or fault is fill_the_disk, said
    with lab.tally.judge(where):
        last = site.start("amun", "wave", "run")
        assert last.returncode == 0, describe(last)
    with lab.tally.judge(where):
        judge(lab, site, people)
    shutil.rmtree(folder, ignore_errors=True)


def judge(lab: Lab, site: Site, people: list[str]) -> None:
    """Counts what is lost, what is there twice, and what is otherwise than after an uninterrupted wave."""
    count_requests(lab, site, people)
    assert_same(site, lab.one)


def count_requests(lab: Lab, site: Site, people: list[str]) -> None:
    """Counts what is lost, and what is there twice."""
    requests = [request for request in site.load("request", "list") if request["outcomes"][0]["state"] != "withdrawn"]
    done = Counter(request["subject_id"] for request in requests if request["outcomes"][0]["state"] == "completed")
    lab.tally.lost += len(set(people) - set(done))
    lab.tally.twice += sum(done.values()) - len(done) + len(requests) - len({one["subject_id"] for one in requests})
    lab.tally.waves += [wave["state"] for wave in site.load("wave", "list")].count("complete") - 1
