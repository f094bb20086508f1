"""The service under load: requests by HTTP while waves claim them, and what a million requests cost.

    python -m bench.service                              both
    python -m bench.service --only calls                 10,000 demands over 64 connections, a ledger in SQLite
    python -m bench.service --only calls --ledger postgresql+psycopg://...
    python -m bench.service --only sizes                 a file of a million, a ledger of ten years (bench/sizes.py)

`amun api` runs in two processes. In another, waves are claimed, last half a second and are completed, one after the
other. Every tenth demand is said twice with its key, at one moment and to both processes, and 1,000 forged ones try to
bring data along. Then ledger, answers and logs are compared. Exit code 1 where a demand is lost, there twice or
answered differently, where a forged one is taken, where the logs lack a call or name anybody, or where a figure of the
sizes is above its bound.
"""

import argparse
import http.client
import json
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from amun.core.params import read_params
from amun.evidence.attempts import Receipt, Summary
from amun.ledger import Claim, Holding, Ledger
from bench.sizes import measure_sizes
from tasks.tools.environment import find_free_port
from tasks.workspace.workspace import Workspace

ROOT = Path(__file__).parent.parent
NUM_DEMANDS, NUM_CONNECTIONS, NUM_FORGED = 10_000, 64, 1000
SAID_TWICE = 10  # every tenth
NUM_SERVICES = 2
MODEL, HOLDER, LEASE_SECONDS, WAVE_SECONDS = "bench", "the bench", 600.0, 0.5
FORGERIES: tuple[dict[str, Any], ...] = (
    {"image": "aGVsbG8="},
    {"samples": [[0.5] * 64], "label": 3},
    {"data_root": "s3://elsewhere/data"},
    {"weights": "models:/other/1"},
)


@dataclass
class Measured:
    """What the calls of some connections gave.

    Attributes:
        answers: the requests' ids by subject, one for each time that a demand was said.
        seconds: of each call.
        statuses: of each answer.
    """

    answers: dict[str, list[str]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)


def name_subject(number: int) -> str:
    """Returns a person's id, which stands nowhere by chance."""
    return f"subject-{number:06d}@bench.invalid"


def serve(url: str, port: int, log: Path) -> None:
    """Serves the ledger in this process, as `amun api` does."""
    from flows.api.application import make_application
    from flows.api.server import listen, make_server

    workspace = Workspace(ROOT, read_params(ROOT / "params.yaml"))
    with Ledger(url) as ledger, listen("127.0.0.1", port) as bound, log.open("w", encoding="utf-8") as lines:
        application = make_application(workspace, ledger, 1e9, lambda line: print(line, file=lines, flush=True))
        make_server(application).run(sockets=[bound])


def run_waves(url: str, stopped: Any, claimed: Any) -> None:
    """Claims waves and completes them, one after the other, until it is told to stop and nobody waits any more."""
    with Ledger(url) as ledger:
        while True:
            is_last, now = stopped.is_set(), datetime.now(UTC)
            claim = ledger.claim_wave(MODEL, kind="deletion", holder=HOLDER, now=now, lease_seconds=LEASE_SECONDS)
            if isinstance(claim, Claim):
                stopped.wait(WAVE_SECONDS)
                complete(ledger, claim)
                claimed.value += 1
            elif is_last:
                return
            else:
                stopped.wait(WAVE_SECONDS)


def complete(ledger: Ledger, claim: Claim) -> None:
    """Completes a wave at once."""
    ledger.complete_wave(
        claim,
        version=str(claim.number + 1),
        parent_version=str(claim.number),
        commit="0" * 40,
        summary=Summary(),
        receipt=Receipt(tag=f"wave/{claim.number:04d}"),
        erase_after=None,
        now=datetime.now(UTC),
    )


def hold_people(url: str, num_demands: int) -> str:
    """Makes a ledger whose model holds everybody, and returns a token for it."""
    now = datetime.now(UTC)
    with Ledger.create(url) as ledger:
        ledger.register_model(MODEL)
        claim = ledger.claim_wave(MODEL, kind="base", holder=HOLDER, now=now, lease_seconds=LEASE_SECONDS)
        assert isinstance(claim, Claim)  # noqa: S101 - the ledger is new
        ledger.record_holdings(claim, [Holding(name_subject(number), 1, 0) for number in range(num_demands)], now)
        complete(ledger, claim)
        return ledger.add_token("bench", ["requests:write"], now)


def make_calls(ports: Sequence[int], token: str, numbers: range, num_forged: int) -> Measured:
    """Makes demands over one connection, some of them to each process at once, and as many forged ones as asked."""
    measured = Measured()
    connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=120) for port in ports]
    with ThreadPoolExecutor(len(ports)) as threads:
        for number in numbers:
            body = {"subject_id": name_subject(number)}
            turned = connections[number % len(ports) :] + connections[: number % len(ports)]
            chosen = turned if number % SAID_TWICE == 0 else turned[:1]
            calls = [threads.submit(_call, one, token, body, f"key-{number}", measured) for one in chosen]
            for call in calls:
                measured.answers.setdefault(body["subject_id"], []).append(call.result().get("request_id", ""))
    for number in range(num_forged):
        forged = {"subject_id": f"forged-{name_subject(number)}"} | FORGERIES[number % len(FORGERIES)]
        _call(connections[0], token, forged, f"forged-{number}", measured)
    for connection in connections:
        connection.close()
    return measured


def _call(
    connection: http.client.HTTPConnection, token: str, body: dict[str, Any], key: str, measured: Measured
) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Idempotency-Key": key}
    began = time.perf_counter()
    connection.request("POST", "/requests", json.dumps(body), headers)
    response = connection.getresponse()
    answer: dict[str, Any] = json.loads(response.read())
    measured.seconds.append(time.perf_counter() - began)
    measured.statuses.append(response.status)
    return answer


@contextmanager
def start(target: Any, *arguments: Any) -> Iterator[Any]:
    """Runs a function in a new process for the block; it has to have ended then, or is told to."""
    process = multiprocessing.get_context("spawn").Process(target=target, args=arguments)
    process.start()
    try:
        yield process
    finally:
        process.terminate()
        process.join()


def wait_for(port: int) -> None:
    """Waits until the service can take requests."""
    for _ in range(600):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", "/healthz")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    sys.exit("bench: the service did not begin")


def run_calls(
    url: str, logs: Sequence[Path], token: str, options: argparse.Namespace
) -> tuple[list[Measured], float, int]:
    """Returns what each connection gave, the seconds that all took together, and how many waves were claimed then."""
    context, ports = multiprocessing.get_context("spawn"), [find_free_port() for _ in logs]
    stopped, claimed = context.Event(), context.Value("i", 0)
    with ExitStack() as services:
        for port, log in zip(ports, logs, strict=True):
            services.enter_context(start(serve, url, port, log))
        for port in ports:
            wait_for(port)
        with start(run_waves, url, stopped, claimed) as waves, ThreadPoolExecutor(options.connections) as threads:
            began = time.perf_counter()
            calls = [
                threads.submit(
                    make_calls,
                    ports,
                    token,
                    range(first, options.requests, options.connections),
                    len(range(first, NUM_FORGED, options.connections)),
                )
                for first in range(options.connections)
            ]
            measured = [call.result() for call in calls]
            seconds, num_waves = time.perf_counter() - began, claimed.value
            stopped.set()
            waves.join()
    return measured, seconds, num_waves


def find_faults(url: str, logs: Sequence[Path], measured: list[Measured], num_demands: int) -> list[str]:
    """Returns what is not as it has to be, in ledger, answers and log."""
    answers = {subject: ids for one in measured for subject, ids in one.answers.items()}
    statuses = Counter(status for one in measured for status in one.statuses)
    with Ledger(url) as ledger:
        kept = {request.request_id: request for request in ledger.list_requests(MODEL)}
    asked = Counter(request.subject_id for request in kept.values())
    lines = [line for log in logs for line in log.read_text(encoding="utf-8").splitlines()]
    # the calls of `wait_for` have lines of their own
    num_lines = sum(json.loads(line)["route"] == "/requests" for line in lines)
    strange = sum(ids[0] not in kept for ids in answers.values())
    known = {subject: ids for subject, ids in answers.items() if ids[0] in kept}
    wrong = sum(len({*ids}) != 1 or kept[ids[0]].subject_id != subject for subject, ids in known.items())
    counts = {
        "lost": num_demands - len({*asked} & {*answers}),
        "twice": sum(number - 1 for number in asked.values()),
        "answered with another request": wrong + strange,
        "not completed by a wave": sum(one.outcomes[0].state != "completed" for one in kept.values()),
        "forged and taken": len({*asked} - {*answers}) + NUM_FORGED - statuses[422],
        "answered by another status": sum(count for status, count in statuses.items() if status not in (200, 201, 422)),
        "missing in the log": sum(statuses.values()) - num_lines,
        "named in the log": sum("bench.invalid" in line for line in lines),
    }
    print(", ".join(f"{number} {what}" for what, number in counts.items()))
    return [what for what, number in counts.items() if number]


def main() -> None:
    """Runs the bench."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.service", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=NUM_DEMANDS)
    parser.add_argument("--connections", type=int, default=NUM_CONNECTIONS)
    parser.add_argument("--ledger", help="url of an empty database; a SQLite file of its own unless given")
    parser.add_argument("--only", choices=("calls", "sizes"), help="this part alone")
    options = parser.parse_args()
    faults = []
    if options.only != "sizes":
        faults += measure_calls(options)
    if options.only != "calls":
        faults += tell_sizes()
    if faults:
        sys.exit(1)


def tell_sizes() -> list[str]:
    """Prints what a million requests cost, and returns which figures are above their bounds."""
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        for figure in measure_sizes(Path(folder)):
            print(figure, flush=True)
            faults += [] if figure.is_kept else [figure.name]
    return faults


def measure_calls(options: argparse.Namespace) -> list[str]:
    """Runs the calls, prints how long they took, and returns what is not as it has to be."""
    with tempfile.TemporaryDirectory() as folder:
        url = options.ledger or f"sqlite:///{folder}/ledger.db"
        logs = [Path(folder, f"log-{number}") for number in range(NUM_SERVICES)]
        token = hold_people(url, options.requests)
        measured, seconds, num_waves = run_calls(url, logs, token, options)
        faults = find_faults(url, logs, measured, options.requests)
    times = sorted(second for one in measured for second in one.seconds)
    p50, p99 = (times[int(len(times) * share)] for share in (0.5, 0.99))
    rate = f"{len(times)} calls over {options.connections} connections in {seconds:.0f} s, {len(times) / seconds:.0f}/s"
    slow = f"p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms, longest {times[-1]:.1f} s"
    print(f"{rate}, while {num_waves} waves were completed; {slow}")
    return faults


if __name__ == "__main__":
    main()
