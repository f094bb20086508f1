"""What people read: tables of requests and waves."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from amun.ledger import AddedOutcome, AddedRequest, Request, Wave
from flows.layout import auc, day, new_table, percent, print_facts, print_table, text

NOT_COMPUTED = "not computed"
MAX_LISTED = 10  # requests just added; more are counted


def print_added(added: Sequence[AddedRequest]) -> None:
    """Prints what was answered to each demand, by model; of many, how often each answer was given."""
    if not added:
        print("no request in it: nothing was recorded")
        return
    if len(added) > MAX_LISTED:
        answers = Counter(_describe_answer(outcome) for request in added for outcome in request.outcomes)
        counts = ", ".join(f"{count} {answer}" for answer, count in answers.items())
        print(f"{len(added)} requests, due {day(min(request.due_at for request in added))}: {counts}")
        return
    table = new_table("subject", "request", "model", "state", "due")
    for request in added:
        for outcome in request.outcomes:
            state = _describe_answer(outcome)
            table.add_row(request.subject_id, outcome.request_id, outcome.model, state, day(outcome.due_at))
    print_table(table)


def print_requests(requests: Sequence[Request]) -> None:
    """Prints requests, oldest first; the company's tickets and the holds where there are any."""
    has_references = any(request.reference for request in requests)
    has_holds = any(request.is_held for request in requests)
    optional = [*["reference"] * has_references, *["held because"] * has_holds]
    table = new_table("request", "subject", "received", "due", "model", "state", "wave", *optional)
    for request in requests:
        for outcome in request.outcomes:
            table.add_row(
                request.request_id,
                request.subject_id,
                day(request.received_at),
                day(request.due_at),
                outcome.model,
                outcome.state,
                text(outcome.wave_number),
                *[text(request.reference)] * has_references,
                *[request.holds[-1].reason if outcome.state == "held" else ""] * has_holds,
            )
    print_table(table)


def print_request(request: Request) -> None:
    """Prints one request with its file, its holds and its receipts."""
    print_requests([request])
    if request.file_number is not None:
        print(f"  {'file':<16} done/{request.file_number:06d}/ in the intake source")
    for hold in request.holds:
        end = f"released {day(hold.released_at)}" if hold.released_at else "not released"
        print(f"  {'hold':<16} {day(hold.held_at)}, {end}: {hold.reason}")
    for outcome in request.outcomes:
        for name, value in (outcome.receipt or {}).items():
            print(f"  {name:<16} {text(value)}")


def print_waves(waves: Sequence[Wave]) -> None:
    """Prints the waves: what was forgotten, at what cost, and how that compares to exact retraining."""
    table = new_table(
        "wave",
        "state",
        "requests",
        "samples",
        "method",
        "accuracy\nbefore",
        "\nafter",
        "\nretrained",
        "FT AUC\nbefore",
        "\nafter",
        "\nretrained",
        "seconds",
        "version",
    )
    for wave in waves:
        table.add_row(*_describe_row(wave))
    print_table(table)


def print_wave(wave: Wave, requests: Sequence[Request]) -> None:
    """Prints one wave in full, with the requests it handles or handled."""
    print_waves([wave])
    facts: dict[str, Any] = {
        "kind": wave.kind,
        "opened": f"{wave.opened_at:%Y-%m-%d %H:%M:%S} UTC",
        "closed": f"{wave.closed_at:%Y-%m-%d %H:%M:%S} UTC" if wave.closed_at else None,
        "parent version": wave.parent_version,
        "commit": wave.commit,
        "note": wave.note,
        "requests": ", ".join(request.request_id for request in requests) or None,
    }
    for half in ("calibration", "test"):
        facts |= {f"{half} {name}": value for name, value in (wave.summary or {}).get(half, {}).items()}
    print_facts(facts)


def print_status(status: dict[str, Any]) -> None:
    """Prints how the model stands."""
    wave = status["open_wave"]
    print(f"model      {status['model']}")
    print(f"champion   {'none yet' if status['champion'] is None else 'version ' + str(status['champion'])}")
    print(
        f"pending    {status['pending']} requests"
        + (f", next due {day(status['next_due'])}" if status["next_due"] else "")
    )
    print(f"overdue    {status['overdue']} requests")
    if status["held"]:
        print(f"on hold    {status['held']} requests, {status['held_overdue']} of them past their due date")
    print(f"open wave  {'none' if wave is None else f'{wave.number} ({wave.kind}), held by {wave.holder}'}")


def _describe_answer(outcome: AddedOutcome) -> str:
    return outcome.state if outcome.is_new else f"{outcome.state} already"


def _describe_row(wave: Wave) -> list[str]:
    summary = wave.summary or {}
    test, comparison = summary.get("test", {}), wave.comparison
    seconds = None if wave.closed_at is None else (wave.closed_at - wave.opened_at).total_seconds()
    is_measured = bool(summary.get("num_forget"))
    return [
        str(wave.number),
        wave.state,
        str(wave.num_requests),
        text(summary.get("num_forget")),
        text(summary.get("method")),
        percent(test.get("accuracy_base")),
        percent(test.get("accuracy")),
        NOT_COMPUTED if comparison is None else percent(comparison["accuracy"]),
        auc(test.get("ft_auc_base"), is_measured),
        auc(test.get("ft_auc"), is_measured),
        NOT_COMPUTED if comparison is None else auc(comparison["ft_auc"], is_measured),
        "" if seconds is None else f"{seconds:.0f}",
        text(wave.version),
    ]
