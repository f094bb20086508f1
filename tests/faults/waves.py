"""Waves in whose way something comes: each ends as an uninterrupted one, or with what makes it go on."""

import os
import shutil
import socket
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from signal import SIGTERM
from threading import Thread
from time import time
from traceback import format_exc
from typing import Any

import psutil

from amun.core.paths import LEDGER, REGISTRY_FILES
from tests.processes import wait_until
from tests.test_faults import KILLS, assert_same
from tests.trap import FAILED, KILLED, open_trap, read_all
from tests.workspaces import BIN, LIMIT_SECONDS, Finished, Site, choose_people, describe

Fault = Callable[["Lab", Site, Path], None]

MAX_KILLS = 12  # of one wave: one that never ends shows nothing
# how a run may end of which this was killed; what fails by itself ends otherwise, or says so
ENDS = {"in": (KILLED,), "group": (KILLED, FAILED), "stage": (FAILED,), "term": (KILLED, -SIGTERM, FAILED)}
SILENT_SECONDS = "2"
TOLD_CHARACTERS = 3000
# where a run is paused: never while it holds DVC's lock, which keeps another run in the same clone out
STOPS = (
    "tasks.steps.gate:decide",
    "tasks.steps.record:commit_paths",
    "tasks.steps.record:tag_commit",
    "tasks.steps.register:log_model",
    "tasks.steps.register:registry.promote",
    "amun.ledger:Ledger.complete_wave",
)


@dataclass
class Tally:
    """What came of all.

    Attributes:
        kills: of programs.
        waves: that ended complete.
        inputs: that were not what they should be.
        lost: requests that no wave has honoured.
        twice: requests that are there twice.
        wrong: waves that ended otherwise than an uninterrupted one, or said what no person can read.
        told: what was wrong, a paragraph each.
        kinds: how many waves had each kind of fault in their way.
    """

    kills: int = 0
    waves: int = 0
    inputs: int = 0
    lost: int = 0
    twice: int = 0
    wrong: int = 0
    told: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return (
            f"{self.kills} kills, {self.waves} waves, {self.inputs} inputs: "
            f"{self.lost} lost, {self.twice} twice, {self.wrong} wrong\n"
            + ", ".join(f"{kind} {number}" for kind, number in self.kinds.items())
        )

    @contextmanager
    def judge(self, where: str) -> Iterator[None]:
        """Counts whatever error ends the block as something wrong: the tally is of all."""
        try:
            yield
        except Exception:
            self.wrong += 1
            self.told.append(f"{where}: {format_exc()[-TOLD_CHARACTERS:]}")


@dataclass
class Lab:
    """Where faults are made.

    Attributes:
        folder: for workspaces.
        zero: a workspace after `amun init`.
        one: the same after an uninterrupted wave.
        random: draws what happens when.
        seconds: that an uninterrupted wave takes.
        tally: of all.
        endings: how each run has ended, in their order, with what came in its way.
    """

    folder: Path
    zero: Site
    one: Site
    random: Random
    seconds: float
    tally: Tally = field(default_factory=Tally)
    endings: list[tuple[str, int]] = field(default_factory=list)

    def note(self, what: str, ended: int) -> int:
        """Keeps how a run has ended, and returns it."""
        self.endings.append((what, ended))
        return ended


def kill_in_steps(lab: Lab, site: Site, said: Path) -> None:
    """Kills a wave in some of its steps, in their order."""
    kill_in_so_many(lab, site, said, 8)


def kill_in_so_many(lab: Lab, site: Site, said: Path, num_steps: int) -> None:
    """Kills a wave in so many of its steps, in their order."""
    chosen = sorted(lab.random.sample(range(len(KILLS)), num_steps))
    with said.open("w+", encoding="utf-8") as file, open_trap(site, file, "wave", "run") as run_and_die:
        for step in chosen:
            moment, target = list(KILLS.values())[step]
            ended = lab.note(moment, run_and_die(moment, target))
            lab.tally.kills += 1
            assert ended == (FAILED if moment == "child" else KILLED), f"{target}: {ended}\n{read_all(file)}"


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
            lab.tally.kills += 1


def kill_the_intake(lab: Lab, site: Site, said: Path) -> None:
    """Kills who takes requests in from a file, until all are in."""
    people = "\n".join(["subject_id", *choose_people(site)])
    table = site.root.parent / "people.csv"
    table.write_text(people, encoding="utf-8")
    with said.open("w+", encoding="utf-8") as file, open_trap(site, file, "request", "add", "--csv", str(table)) as run:
        for _ in range(MAX_KILLS):
            if run("in", f"{lab.random.uniform(0, 0.5):.3f}") != KILLED:
                break
            lab.tally.kills += 1
    site.run("amun", "request", "add", "--csv", str(table))


def fill_the_disk(lab: Lab, site: Site, said: Path) -> None:
    """Lets files grow so far and no further."""
    # in the first one no wave has room
    run_in_little_room(lab, site, said, [100_000, *lab.random.sample([300_000, 600_000, 1_000_000, 1_500_000], 2)])


def run_in_little_room(lab: Lab, site: Site, said: Path, sizes: Sequence[int]) -> None:
    """Runs a wave again and again, no file of which gets longer than so many bytes; in the first it has no room."""
    with said.open("w+", encoding="utf-8") as file, open_trap(site, file, "wave", "run") as run_and_die:
        for number, size in enumerate(sizes):
            ended = lab.note("full", run_and_die("full", str(size)))
            assert ended == FAILED or (number and ended == 0), f"{size}: {ended}: {read_all(file)}"
            # The limit kills git with a signal, where a full disk would let it put its lock away. A lock that is left
            # counts as stale after ten minutes: as if these had gone by.
            with suppress(FileNotFoundError):
                _make_old(site.root / ".git/index.lock")


def leave_things_behind(_: Lab, site: Site, __: Path) -> None:
    """Leaves what killed programs leave: torn locks, stale ones, half-written files."""
    (site.root / ".dvc/tmp").mkdir(parents=True, exist_ok=True)
    (site.root / ".dvc/tmp/rwlock").write_text('{"torn', encoding="ascii")
    index = site.root / ".git/index.lock"
    index.touch()
    _make_old(index)
    for path in ("wave/wave.json.unfinished", "metrics/audit.json.unfinished", ".amun/secret.unfinished"):
        (site.root / path).write_text("half of", encoding="ascii")
    for folder in list((site.root / ".dvc/cache/files/md5").iterdir())[:5]:
        (folder / "tmp.unfinished").write_bytes(b"half of")


def _make_old(path: Path) -> None:
    """Has a file be from an hour ago."""
    os.utime(path, (time() - 3600, time() - 3600))


def take_rights_away(lab: Lab, site: Site, said: Path) -> None:
    """Makes a folder one in which nobody may write."""
    name = lab.random.choice([".amun", "wave", "metrics", ".dvc/cache", ".git", str(REGISTRY_FILES)])
    folder = site.root / name
    modes = {path: path.stat().st_mode for path in [folder, *folder.rglob("*")] if path.is_dir()}
    for path in modes:
        path.chmod(0o555)
    try:
        # whoever runs as root may write everywhere, unless that is taken away
        failed = _start(site, said, "setpriv", "--bounding-set=-dac_override", str(BIN / "amun"), "wave", "run")
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
    lab.note(name, failed.returncode)
    _require_line(failed)


def let_servers_fail(lab: Lab, site: Site, _: Path) -> None:
    """Lets MLflow be a server that takes a call and says nothing, or half of an answer."""
    answer = lab.random.choice(
        [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{", b"\x00\xff", b"HTTP/1.1 500 \r\n\r\n"]
    )
    with _answer(answer) as port:
        variables = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}", "AMUN_TIMEOUT_S": SILENT_SECONDS}
        failed = Site(site.root, site.variables | variables).start("amun", "wave", "run")
    lab.note("silent", failed.returncode)
    _require_line(failed)


def pause_the_owner(lab: Lab, site: Site, said: Path) -> None:
    """Stops a run, whose wave another ends once the lease has run out; waking up it must write nothing."""
    with said.open("w+", encoding="utf-8") as file, open_trap(site, file, "wave", "run") as run_and_die:
        with ThreadPoolExecutor(1) as thread:
            ended = thread.submit(run_and_die, "stop", lab.random.choice(STOPS))
            wait_until(lambda: ended.done() or _find_stopped(), "the pause", LIMIT_SECONDS)
            owner = _find_stopped()
            assert owner is not None, f"it ended before its pause:\n{read_all(file)}"
            try:
                # as if two minutes had gone by
                with closing(sqlite3.connect(site.root / LEDGER, timeout=60)) as ledger, ledger:
                    ledger.execute("UPDATE waves SET lease_expires_at = opened_at WHERE state = 'open'")
                taken = site.start("amun", "wave", "run")
            finally:
                owner.resume()
        assert taken.returncode == 0, describe(taken)
        assert ended.result() == FAILED, f"it takes the other's wave for its own:\n{read_all(file)}"


def _find_stopped() -> Any:
    """Returns the run that was stopped; None as long as none is."""
    for child in psutil.Process().children(recursive=True):
        # it may have ended meanwhile
        with suppress(psutil.NoSuchProcess):
            if child.status() == psutil.STATUS_STOPPED:
                return child
    return None


# those that take least first: in few minutes there is one of each
FAULTS: tuple[Fault, ...] = (
    leave_things_behind,
    kill_the_intake,
    let_servers_fail,
    take_rights_away,
    pause_the_owner,
    fill_the_disk,
    kill_in_steps,
    kill_at_any_moment,
)


def run_wave(lab: Lab, number: int, fault: Fault) -> None:
    """Runs a wave with a fault in its way, to its end, and judges what is left."""
    folder = lab.folder / f"{number:04d}"
    site = lab.zero.copy(folder / "workspace")
    people = choose_people(site)
    if fault is not kill_the_intake:
        site.run("amun", "request", "add", *people)
    where = f"wave {number}, {fault.__name__}"
    lab.tally.kinds[fault.__name__] += 1
    with lab.tally.judge(where):
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
    requests = [request for request in site.load("request", "list") if request["outcomes"][0]["state"] != "withdrawn"]
    done = Counter(request["subject_id"] for request in requests if request["outcomes"][0]["state"] == "completed")
    lab.tally.lost += len(set(people) - set(done))
    lab.tally.twice += sum(done.values()) - len(done) + len(requests) - len({one["subject_id"] for one in requests})
    lab.tally.waves += [wave["state"] for wave in site.load("wave", "list")].count("complete") - 1
    assert_same(site, lab.one)


def _start(site: Site, said: Path, *command: str) -> Finished:
    with said.open("w+", encoding="utf-8") as file:
        ended = subprocess.run(command, cwd=site.root, env=site.environment, stdout=file, stderr=file, check=False)
    return Finished(command, ended.returncode, "", said.read_text(encoding="utf-8"))


def _require_line(finished: Finished) -> None:
    """Sees that a command has failed, and says why in a line of its own."""
    assert finished.returncode, f"nothing came in its way:\n{describe(finished)}"
    assert "Traceback" not in finished.stderr, finished.stderr
    assert finished.stderr.splitlines()[-1].startswith("amun: "), finished.stderr


@contextmanager
def _answer(answer: bytes) -> Iterator[int]:
    """Gives the port of a server that says this to everybody, and then nothing; empty: nothing at all."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    taken.append(server.accept()[0])
                except OSError:
                    return
                with suppress(OSError):  # who has gone needs no answer, and the next one gets the same
                    taken[-1].sendall(answer)

        Thread(target=serve, daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            for connection in taken:
                connection.close()
