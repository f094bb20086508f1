"""What people read of the requests."""

from collections import Counter
from collections.abc import Sequence

from amun.ledger import AddedOutcome, AddedRequest, Request, UndoneOutcome
from flows.layout import day, new_table, print_table, text

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
        for kept in outcome.undone:
            print(f"  {'undone':<16} {day(kept.undone_at)}, {_describe_undone(kept)}: {kept.reason}")
        for name, value in (outcome.receipt or {}).items():
            print(f"  {name:<16} {text(value)}")


def _describe_answer(outcome: AddedOutcome) -> str:
    return outcome.state if outcome.is_new else f"{outcome.state} already"


def _describe_undone(kept: UndoneOutcome) -> str:
    wave = f" by wave {kept.wave_number}" if kept.wave_number is not None else ""
    return f"{kept.state}{wave} on {day(kept.decided_at)}" if kept.decided_at else f"{kept.state}{wave}"
