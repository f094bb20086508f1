"""What a million requests cost: a file of them taken in, and a ledger of ten years of nights read.

`python -m bench.service --only sizes` runs it. The commands are typed as a person types them, each in a process of its
own, in a clone of this checkout with a ledger in SQLite. What is judged is seconds of the processor, on which what else
the machine does tells little; those of the clock stand beside them. A command's own time is what it takes beyond the
same command where the ledger is empty. Each has to end with exit code 0 and to have done what it was typed for.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, insert, update

from amun.core.keys import SECRET_VARIABLE
from amun.core.params import read_params
from amun.core.paths import PARAMS
from amun.evidence.attempts import Judged, Receipt, Summary
from amun.evidence.figures import ReportFigures
from amun.ledger import Claim, Holding, Ledger
from amun.ledger.schema import ErasureRow, HoldRow, InfoRow, OutcomeRow, RequestRow, WaveRow
from bench.secrets import SECRET
from flows.demo import ensure_clone
from tasks.tools.environment import LEDGER_VARIABLE

ROOT = Path(__file__).parent.parent
NUM_LARGE, NUM_WAVES = 1_000_000, 3650
# of a file of a million: seconds, memory, and how much longer it may take than one of a tenth
MAX_FILE_SECONDS, MAX_FILE_MIB, MAX_FILE_RATIO = 120.0, 1024.0, 12.0
MAX_STATUS_SECONDS, MAX_PAGE_SECONDS = 1.0, 2.0
CHUNK, NUM_PAGE_ROWS = 50_000, 30
POLL_SECONDS = 0.05  # memory that a process holds for a shorter time before it ends is not seen
DAY = timedelta(days=1)
LEASE_SECONDS = 3600.0
SUMMARY = Summary(
    method="retrain",
    decisions=(
        Judged(attempt=1, method="never_seen", passed=False, reason="memory left 0.31 is above 0.25"),
        Judged(attempt=2, method="retrain", passed=True, reason="exact"),
    ),
    test=ReportFigures(accuracy=0.97, memory_left=0.1, memory_left_upper=0.3, num_standing_out=0),
    stage_seconds=12.5,
)


@dataclass(frozen=True)
class Spent:
    """What a command has taken.

    Attributes:
        seconds: of the processor.
        clock_seconds: from its start to its end.
        peak_mib: the most memory that it held.
        printed: what it has said.
    """

    seconds: float
    clock_seconds: float
    peak_mib: float
    printed: str


@dataclass(frozen=True)
class Figure:
    """A figure and its bound: what it is, how much, how much it may be, and what else is to be told of it."""

    name: str
    value: float
    limit: float
    beside: str = ""

    def __str__(self) -> str:
        told = f"{self.name}: {self.value:.2f} (at most {self.limit:g}){self.beside and f'; {self.beside}'}"
        return told if self.is_kept else f"{told}  <-- too much"

    @property
    def is_kept(self) -> bool:
        """Whether it is within its bound."""
        return self.value <= self.limit


def measure_sizes(folder: Path, num_large: int = NUM_LARGE) -> Iterator[Figure]:
    """Yields all figures; `folder` is an empty one of this machine, for two gigabytes.

    Raises:
        RuntimeError: a command has not done what it was typed for.
    """
    root = folder / "workspace"
    ensure_clone(ROOT, root)
    model = read_params(root / PARAMS).model.name
    yield from measure_intake(folder, root, model, num_large)
    yield from measure_reading(folder, root, model, num_large)


def measure_intake(folder: Path, root: Path, model: str, num_large: int) -> Iterator[Figure]:
    """Yields what `amun request add --csv` takes for a large file, and how much longer than for a tenth of it."""
    whole, tenth, alone = (take_file(folder, root, model, number) for number in (num_large, num_large // 10, 1))
    told = f"a file of {num_large:,} requests"
    yield Figure(f"{told}, seconds", whole.seconds, MAX_FILE_SECONDS, tell_clock(whole))
    yield Figure(f"{told}, MiB", whole.peak_mib, MAX_FILE_MIB)
    of_a_tenth = max(tenth.seconds - alone.seconds, POLL_SECONDS)
    ratio = (whole.seconds - alone.seconds) / of_a_tenth
    yield Figure(f"{told}, how often as long as a tenth of it", ratio, MAX_FILE_RATIO)


def take_file(folder: Path, root: Path, model: str, num_requests: int) -> Spent:
    """Returns what a file of so many requests takes, of people whom the model holds.

    Raises:
        RuntimeError: they do not all wait then.
    """
    url = f"sqlite:///{folder / f'intake-{num_requests}.db'}"
    run_apart(hold_people, url, model, range(num_requests))
    file = folder / "requests.csv"
    lines = (f"{name_subject(number)},2026-01-31,TICKET-{number}\n" for number in range(num_requests))
    with file.open("w", encoding="ascii") as written:
        written.write("subject_id,received_at,reference\n")
        written.writelines(lines)
    spent = run_command(root, url, "request", "add", "--csv", str(file))
    with Ledger(url) as ledger:
        num_pending = ledger.count_status(model, datetime.now(UTC)).pending
    if num_pending != num_requests:
        raise RuntimeError(f"of {num_requests} requests {num_pending} wait")
    return spent


def measure_reading(folder: Path, root: Path, model: str, num_requests: int) -> Iterator[Figure]:
    """Yields the own time of `amun status` and of pages of `amun request list` on a large ledger."""
    full, empty = (f"sqlite:///{folder / name}.db" for name in ("full", "empty"))
    num_done = num_requests * 9 // 10
    run_apart(hold_people, empty, model, range(1))
    run_apart(hold_people, full, model, range(num_done + 1, num_requests + 1))
    run_apart(fill, full, model, num_requests, datetime.now(UTC))
    listed, early = ("request", "list"), ("--page", str(num_requests // 40))  # of thirty each, the latest first
    told = f"{NUM_WAVES:,} waves and {num_requests:,} requests, own seconds"
    in_full, in_empty = run_command(root, full, "status"), run_command(root, empty, "status")
    yield Figure(f"amun status, {told}", in_full.seconds - in_empty.seconds, MAX_STATUS_SECONDS, tell_clock(in_full))
    in_empty = run_command(root, empty, *listed)
    for options in ((), early, ("--state", "completed")):
        page = run_command(root, full, *listed, *options)
        name = " ".join(("amun", *listed, *options))
        if (num_rows := page.printed.count("\nR-")) != NUM_PAGE_ROWS:
            raise RuntimeError(f"{name}: a page of {num_rows} rows")
        yield Figure(f"{name}, {told}", page.seconds - in_empty.seconds, MAX_PAGE_SECONDS, tell_clock(page))


def tell_clock(spent: Spent) -> str:
    """Returns how long it took for whoever waits."""
    return f"{spent.clock_seconds:.1f} s by the clock, with all that it imports"


def run_command(root: Path, url: str, *arguments: str) -> Spent:
    """Returns what an `amun` command takes in a workspace with this ledger.

    Raises:
        RuntimeError: it ends with another exit code than 0.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AMUN_", "MLFLOW_"))}
    began = time.monotonic()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as printed:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.cli.app", *arguments],
            cwd=root,
            env=environment | {LEDGER_VARIABLE: url, SECRET_VARIABLE: SECRET},
            stdin=subprocess.DEVNULL,
            stdout=printed,
        )
        peak_mib = 0.0
        while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
            peak_mib = max(peak_mib, read_peak_mib(process.pid))
            time.sleep(POLL_SECONDS)
        _, status, usage = ended
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"amun {' '.join(arguments)} ended with exit code {process.returncode}")
        printed.seek(0)
        return Spent(usage.ru_utime + usage.ru_stime, time.monotonic() - began, peak_mib, printed.read())


def read_peak_mib(pid: int) -> float:
    """Returns the most memory that a process of Linux has held; what `getrusage` says has that of its parent in it."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)


def name_subject(number: int) -> str:
    """Returns a person's id."""
    return f"subject-{number:07d}"


def run_apart(function: Callable[..., None], *arguments: object) -> None:
    """Calls a function in a process of its own, which gives all memory back.

    Raises:
        RuntimeError: it has failed.
    """
    process = get_context("spawn").Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"{function.__name__} ended with exit code {process.exitcode}")


def hold_people(url: str, model: str, numbers: range) -> None:
    """Makes a ledger with a model whose base holds people of these numbers."""
    now = datetime.now(UTC)
    with Ledger.create(url) as ledger:
        ledger.register_model(model)
        claim = ledger.claim_wave(model, kind="base", holder="the bench", now=now, lease_seconds=LEASE_SECONDS)
        if not isinstance(claim, Claim):
            raise RuntimeError("the ledger is not new")
        ledger.record_holdings(claim, [Holding(name_subject(number), 1, 0) for number in numbers], now)
        ledger.complete_wave(
            claim,
            version="1",
            parent_version="0",
            commit="0" * 40,
            summary=Summary(),
            receipt=Receipt(),
            erase_after=None,
            now=now,
        )


def fill(url: str, model: str, num_requests: int, now: datetime) -> None:
    """Writes ten years of nights: nine tenths of the requests are forgotten, most erased; the rest waits or is held."""
    engine = create_engine(url)
    with engine.begin() as connection:
        waves = [_make_wave(model, number, now) for number in range(1, NUM_WAVES + 1)]
        connection.execute(insert(WaveRow), waves)
        for first in range(1, num_requests + 1, CHUNK):
            numbers = range(first, min(first + CHUNK, num_requests + 1))
            made = [Made(number, num_requests, now) for number in numbers]
            for row, rows in (
                (RequestRow, [one.make_request() for one in made]),
                (OutcomeRow, [one.make_outcome(model) for one in made]),
                (ErasureRow, [one.make_erasure(model) for one in made if one.state == "completed"]),
                (HoldRow, [one.make_hold() for one in made if one.state == "held"]),
            ):
                if rows:
                    connection.execute(insert(row), rows)
        connection.execute(update(InfoRow).values(next_request=num_requests + 1))
    engine.dispose()


def _make_wave(model: str, number: int, now: datetime) -> dict[str, Any]:
    at = now - (NUM_WAVES - number) * DAY
    return {
        "model": model,
        "number": number,
        "kind": "deletion",
        "state": "complete",
        "holder": "the bench",
        "lease_token": "none",
        "heartbeat_at": at,
        "lease_expires_at": at,
        "opened_at": at,
        "closed_at": at,
        "parent_version": str(number),
        "version": str(number + 1),
        "commit": "0" * 40,
        "summary": SUMMARY.model_dump(mode="json", exclude_unset=True),
    }


class Made:
    """A request of the ledger of ten years, row by row.

    Attributes:
        number: its number.
        wave: that has honoured it, if any.
        at: when it came, and was honoured.
        now: the present time.
        state: where it stands: of those who wait, a tenth is held and a tenth matches nobody.
    """

    def __init__(self, number: int, num_requests: int, now: datetime):
        num_done = num_requests * 9 // 10
        is_done = number <= num_done
        self.number, self.now = number, now
        self.state = "completed" if is_done else {8: "held", 9: "unmatched"}.get(number % 10, "pending")
        self.wave = 1 + (number - 1) * NUM_WAVES // num_done if is_done else None
        self.at = now - (NUM_WAVES - self.wave) * DAY if self.wave is not None else now

    def make_request(self) -> dict[str, Any]:
        """Returns its own row."""
        return {
            "number": self.number,
            "subject_id": name_subject(self.number),
            "received_at": self.at,
            "due_at": self.at + 30 * DAY,
            "reference": f"TICKET-{self.number}",
        }

    def make_outcome(self, model: str) -> dict[str, Any]:
        """Returns what the model has answered."""
        return {
            "request_number": self.number,
            "model": model,
            "subject_id": name_subject(self.number),
            "state": self.state,
            "wave_number": self.wave,
            "decided_at": None if self.wave is None else self.at,
            "receipt": None if self.wave is None else {},
        }

    def make_erasure(self, model: str) -> dict[str, Any]:
        """Returns what became of the person's keys a week later, where that is past."""
        after = self.at + 7 * DAY
        erased_at = after if after < self.now else None
        return {
            "request_number": self.number,
            "model": model,
            "intended_at": self.at,
            "erase_after": after,
            "started_at": erased_at,
            "keys_destroyed_at": erased_at,
            "erased_at": erased_at,
        }

    def make_hold(self) -> dict[str, Any]:
        """Returns what holds it, each kind a third of them."""
        kind = ("legal", "identity", "approval")[self.number // 10 % 3]
        return {
            "request_number": self.number,
            "reason": "why",
            "held_at": self.at,
            "kind": kind,
            "num_approvals": 2 * (kind == "approval"),
        }
