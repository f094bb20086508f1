"""Waves whose programs are killed, at a step or at any moment."""

from collections.abc import Sequence
from pathlib import Path
from signal import SIGTERM

from tests.faults.lab import Lab
from tests.test_faults import KILLS
from tests.trap import FAILED, KILLED, open_trap, read_all
from tests.workspaces import Site, choose_people

MAX_KILLS = 12  # of one wave: one that never ends shows nothing
# how a run may end of which this was killed; what fails by itself ends otherwise, or says so
ENDS = {"in": (KILLED,), "group": (KILLED, FAILED), "stage": (FAILED,), "term": (KILLED, -SIGTERM, FAILED)}
# what is done once in a wave: a run that finds it done does not come by again
DONE_ONCE = ("record, after the commit", "register, after the version", "complete, after")
TORN_LOCK = '{"torn'


def kill_in_steps(lab: Lab, site: Site, said: Path) -> None:
    """Kills a wave in its steps in their order: in each one twice as a rule, in some never, in some three times."""
    steps: list[str] = []
    for step in KILLS:
        steps += [step] * lab.random.choice((0, 1, 1, 1, 1) if step in DONE_ONCE else (0, 1, 2, 2, 2, 3, 3))
    _kill_in(lab, site, said, steps)


def kill_in_so_many(lab: Lab, site: Site, said: Path, num_steps: int) -> None:
    """Kills a wave in so many of its steps, in their order."""
    chosen = sorted(lab.random.sample(range(len(KILLS)), num_steps))
    _kill_in(lab, site, said, [list(KILLS)[number] for number in chosen])


def _kill_in(lab: Lab, site: Site, said: Path, steps: Sequence[str]) -> None:
    with said.open("w+", encoding="utf-8") as file, open_trap(site, file, "wave", "run") as run_and_die:
        for step in steps:
            moment, target = KILLS[step]
            if lab.random.random() < 0.5:
                (site.root / ".dvc/tmp/rwlock").write_text(TORN_LOCK, encoding="ascii")
            ended = lab.note(moment, run_and_die(moment, target))
            assert ended == (FAILED if moment == "child" else KILLED), f"{step}: {ended}\n{read_all(file)}"
            lab.tally.kills[kill_in_steps.__name__] += 1


def kill_at_any_moment(lab: Lab, site: Site, said: Path) -> None:
    """Kills a wave again and again, at moments drawn by chance: the run, what it has started, or both."""
    kill_by(lab, site, said, list(ENDS), MAX_KILLS)


def kill_by(lab: Lab, site: Site, said: Path, moments: Sequence[str], max_kills: int) -> None:
    """Kills a wave so many times at most, at moments drawn by chance, each time in one of these ways."""
    with said.open("w+", encoding="utf-8") as file, open_trap(site, file, "wave", "run") as run_and_die:
        for _ in range(max_kills):
            moment = lab.random.choice(moments)
            ended = lab.note(moment, run_and_die(moment, f"{lab.random.uniform(0, lab.seconds):.3f}"))
            if ended == 0:
                break
            assert ended in ENDS[moment], f"{moment}: {ended}, and nobody has killed it\n{read_all(file)}"
            lab.tally.kills[kill_at_any_moment.__name__] += 1


def kill_the_intake(lab: Lab, site: Site, said: Path) -> None:
    """Kills who takes requests in from a file, until all are in."""
    people = "\n".join(["subject_id", *choose_people(site)])
    table = site.root.parent / "people.csv"
    table.write_text(people, encoding="utf-8")
    with said.open("w+", encoding="utf-8") as file, open_trap(site, file, "request", "add", "--csv", str(table)) as run:
        for _ in range(MAX_KILLS):
            if run("in", f"{lab.random.uniform(0, 0.5):.3f}") != KILLED:
                break
            lab.tally.kills[kill_the_intake.__name__] += 1
    site.run("amun", "request", "add", "--csv", str(table))
