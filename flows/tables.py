"""What people read: tables of requests and waves."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from amun.ledger import AddedOutcome, AddedRequest, Request, Wave

NOT_COMPUTED = "not computed"
TOO_FEW = "too few"
MAX_LISTED = 10  # requests just added; more are counted


def print_added(added: Sequence[AddedRequest]) -> None:
    """Prints what was answered to each demand, by model; of many, how often each answer was given."""
    if len(added) > MAX_LISTED:
        answers = Counter(_describe_answer(outcome) for request in added for outcome in request.outcomes)
        counts = ", ".join(f"{count} {answer}" for answer, count in answers.items())
        print(f"{len(added)} requests, due {_day(min(request.due_at for request in added))}: {counts}")
        return
    table = _new_table("subject", "request", "model", "state", "due")
    for request in added:
        for outcome in request.outcomes:
            state = _describe_answer(outcome)
            table.add_row(request.subject_id, outcome.request_id, outcome.model, state, _day(outcome.due_at))
    _print(table)


def print_requests(requests: Sequence[Request]) -> None:
    """Prints requests, oldest first."""
    table = _new_table("request", "subject", "received", "due", "model", "state", "wave")
    for request in requests:
        for outcome in request.outcomes:
            table.add_row(
                request.request_id,
                request.subject_id,
                _day(request.received_at),
                _day(request.due_at),
                outcome.model,
                outcome.state,
                _text(outcome.wave_number),
            )
    _print(table)


def print_request(request: Request) -> None:
    """Prints one request with its receipts."""
    print_requests([request])
    for outcome in request.outcomes:
        for name, value in (outcome.receipt or {}).items():
            print(f"  {name:<16} {_text(value)}")


def print_waves(waves: Sequence[Wave]) -> None:
    """Prints the waves: what was forgotten, at what cost, and how that compares to exact retraining."""
    table = _new_table(
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
    _print(table)


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
    for name, value in facts.items():
        if value is not None:
            print(f"  {name:<30} {_text(value)}")


def print_status(status: dict[str, Any]) -> None:
    """Prints how the model stands."""
    wave = status["open_wave"]
    print(f"model      {status['model']}")
    print(f"champion   {'none yet' if status['champion'] is None else 'version ' + str(status['champion'])}")
    print(
        f"pending    {status['pending']} requests"
        + (f", next due {_day(status['next_due'])}" if status["next_due"] else "")
    )
    print(f"overdue    {status['overdue']} requests")
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
        _text(summary.get("num_forget")),
        _text(summary.get("method")),
        _percent(test.get("accuracy_base")),
        _percent(test.get("accuracy")),
        NOT_COMPUTED if comparison is None else _percent(comparison["accuracy"]),
        _auc(test.get("ft_auc_base"), is_measured),
        _auc(test.get("ft_auc"), is_measured),
        NOT_COMPUTED if comparison is None else _auc(comparison["ft_auc"], is_measured),
        "" if seconds is None else f"{seconds:.0f}",
        _text(wave.version),
    ]


def _new_table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def _print(table: Table) -> None:
    # a log is wider than the 80 columns that rich assumes where there is no terminal
    console = Console()
    Console(width=max(console.width, 160) if not console.is_terminal else None).print(table)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _auc(value: float | None, is_measured: bool) -> str:
    return f"{value:.3f}" if value is not None else (TOO_FEW if is_measured else "")


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
