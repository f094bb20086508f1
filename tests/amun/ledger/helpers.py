"""What most tests of the ledger begin with."""

import multiprocessing
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from amun.evidence.attempts import Receipt, Summary
from amun.evidence.figures import ReportFigures
from amun.ledger import Claim, Holding, Ledger, WaveBusy

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
MODEL = "digits-cnn"
SUMMARY = Summary(method="retrain", test=ReportFigures(accuracy=0.97))
LEASE_SECONDS = 60.0
LATER = NOW + timedelta(seconds=LEASE_SECONDS)
# new processes are forked from one that has imported this and has opened nothing: importing anew took a second for each
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__])


def build_base(ledger: Ledger, subjects: Sequence[str], model: str = MODEL) -> None:
    """Registers a model and completes a base wave of it that holds the subjects."""
    ledger.register_model(model)
    claim = claim_wave(ledger, "base", model=model)
    ledger.record_holdings(claim, [Holding(subject, 2, 1) for subject in subjects], NOW)
    complete_wave(ledger, claim)


def claim_wave(ledger: Ledger, kind: Any = "deletion", *, model: str = MODEL, now: datetime = NOW) -> Claim:
    """Returns a claim for a holder on another host; fails where there is none to be had."""
    answer = ledger.claim_wave(model, kind=kind, holder="elsewhere", now=now, lease_seconds=LEASE_SECONDS)
    assert isinstance(answer, Claim)
    return answer


def complete_wave(
    ledger: Ledger,
    claim: Claim,
    version: str = "7",
    now: datetime = NOW,
    erase_after: datetime | None = None,
    commit: str = "c0ffee",
) -> None:
    ledger.complete_wave(
        claim,
        version=version,
        parent_version="6",
        commit=commit,
        summary=SUMMARY,
        receipt=Receipt(tag=f"wave/{claim.number:04d}"),
        erase_after=erase_after,
        now=now,
    )


def add(ledger: Ledger, *subjects: str, now: datetime = NOW) -> list[str]:
    """Returns the ids of the requests the subjects' demands stand under."""
    return [added.request_id for added in ledger.add_requests(subjects, received_at=None, now=now)]


def list_states(ledger: Ledger) -> list[tuple[str, str]]:
    """Returns request id and state of every outcome."""
    return [(request.request_id, outcome.state) for request in ledger.list_requests() for outcome in request.outcomes]


def claim_in_process(url: str, holder: str) -> Claim | WaveBusy | None:
    """What one of several racing processes does."""
    with Ledger(url) as ledger:
        return ledger.claim_wave(MODEL, kind="deletion", holder=holder, now=NOW, lease_seconds=LEASE_SECONDS)


def run_together(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Calls the function in a new process for each tuple of arguments, all let go at once; returns the answers."""
    barrier, answers = PROCESSES.Barrier(len(arguments)), PROCESSES.SimpleQueue()
    processes = [
        PROCESSES.Process(target=_call, args=(function, each, barrier, answers), daemon=True) for each in arguments
    ]
    for process in processes:
        process.start()
    collected = [answers.get() for _ in processes]
    for process in processes:
        process.join()
    failures = [answer for answer in collected if isinstance(answer, Exception)]
    if failures:
        raise ExceptionGroup("processes failed", failures)
    return collected


def _call(function: Callable[..., Any], arguments: tuple[Any, ...], barrier: Any, answers: Any) -> None:
    barrier.wait()
    try:
        answers.put(function(*arguments))
    except Exception as error:
        answers.put(error)
