"""What people read of the requests."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from amun.core.counts import tell_count
from amun.core.near_ids import ask_for
from amun.evidence.attempts import Receipt
from amun.ledger import AddedOutcome, AddedRequest, Outcome, Request, UndoneOutcome
from amun.ledger.laws import LAWS
from amun.ledger.requests import is_erasable
from flows.pages.layout import day, tell_erasure, text
from flows.pages.listing import View, print_page
from flows.pages.table import Column, Table, print_table

HOLDS = {"legal": "hold", "identity": "not verified", "approval": "approval"}
MAX_LISTED = 10  # requests just added; more are counted
COLUMNS = (
    Column("request"),
    Column("subject"),
    Column("received", 5),
    Column("due", 2),
    Column("model", 6),
    Column("state", 1),
    Column("wave", 3),
)


def print_added(added: Sequence[AddedRequest]) -> None:
    """Prints what was answered to each demand, by model; of many, how often each answer was given."""
    if not added:
        print("no request in it: nothing was recorded")
        return
    if len(added) > MAX_LISTED:
        answers = Counter(_describe_answer(outcome) for request in added for outcome in request.outcomes)
        counts = ", ".join(f"{count} {answer}" for answer, count in answers.items())
        print(f"{tell_count(len(added), 'request')}, due {day(min(request.due_at for request in added))}: {counts}")
        return
    columns = Column("subject"), Column("request"), Column("model", 2), Column("state", 1), Column("due", 3)
    table = Table(*columns)
    for request in added:
        for outcome in request.outcomes:
            state = _describe_answer(outcome)
            table.add_row(request.subject_id, outcome.request_id, outcome.model, state, day(outcome.due_at))
    print_table(table)


def print_near(suggestions: Mapping[str, list[str]]) -> None:
    """Prints which known people may be meant by ids that match nobody. Only who typed these ids may see it."""
    for line in list_near(suggestions):
        print(line)


def describe_unmatched(strangers: Sequence[AddedRequest]) -> str:
    """Returns in one line what is to be done about requests that match nobody."""
    head = tell_count(len(strangers), "person matches", "people match")
    ids = " ".join(answer.request_id for answer in strangers) if len(strangers) <= MAX_LISTED else "REQUEST..."
    return (
        f"{head} nobody in the data, and the requests wait for you: withdraw each one that is spelled otherwise there "
        f"and add it anew, or say `amun request confirm {ids}`"
    )


def list_near(suggestions: Mapping[str, list[str]]) -> list[str]:
    """Returns a line for each id by which somebody known may be meant."""
    return [f"nobody is called {asked!r}; {ask_for(near)}" for asked, near in suggestions.items() if near]


def print_list(requests: Sequence[Request], view: View, num_requests: int, num_unmatched: int) -> None:
    """Prints a page of requests.

    Args:
        requests: of the page.
        view: what is asked for.
        num_requests: of all pages.
        num_unmatched: how many of these match nobody.
    """
    print_page(_tabulate(requests, view.columns), view, num_requests, "request")
    if num_unmatched:
        print(f"unmatched: {num_unmatched}, which match nobody in the data; `amun request show` says who may be meant")


def print_requests(requests: Sequence[Request]) -> None:
    """Prints requests, oldest first."""
    print_table(_tabulate(requests, ()))


def _tabulate(requests: Sequence[Request], chosen: Sequence[str]) -> Table:
    """Returns a row for each outcome; what not every ledger has where there is any or it is asked for."""
    has_references = any(request.reference for request in requests) or "reference" in chosen
    has_holds = any(request.is_held or request.denial for request in requests) or "reason" in chosen
    has_laws = any(request.law != LAWS[0] for request in requests) or "law" in chosen
    has_extensions = any(request.extension for request in requests) or "extended" in chosen
    has_erasures = "erased" in chosen or any(one.erasure for request in requests for one in request.outcomes)
    optional = [
        *[Column("erased", 2)] * has_erasures,
        *[Column("law", 5)] * has_laws,
        *[Column("extended", 2, title="put off from")] * has_extensions,
        *[Column("reference", 4)] * has_references,
        *[Column("reason", 2, title="held or denied because", is_text=True)] * has_holds,
    ]
    table = Table(*COLUMNS, *optional)
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
                *[tell_erasure(outcome.erasure) if outcome.erasure else ""] * has_erasures,
                *[request.law] * has_laws,
                *[day(request.extension.due_before) if request.extension else ""] * has_extensions,
                *[text(request.reference)] * has_references,
                *[_tell_hold(request, outcome)] * has_holds,
            )
    return table


def _tell_hold(request: Request, outcome: Outcome) -> str:
    """Returns why a request is kept from a wave, or its person's keys from being destroyed; or why it was denied."""
    if request.denial is not None and outcome.state == "denied":
        return request.denial.reason
    return request.hold.told if request.hold and (outcome.state == "held" or is_erasable(outcome)) else ""


def print_request(request: Request) -> None:
    """Prints one request with its file, its holds and its receipts."""
    print_requests([request])
    if request.file_number is not None:
        print(f"  {'file':<16} done/{request.file_number:06d}/ in the intake source")
    if request.law != LAWS[0] or request.extension is not None:
        print(f"  {'due':<16} {day(request.due_at)}: {request.term}")
    if (extension := request.extension) is not None:
        before = f"{day(extension.extended_at)}, due {day(extension.due_before)} before"
        print(f"  {'extended':<16} {before}: {extension.reason}")
    for hold in request.holds:
        end = f"released {day(hold.released_at)}" if hold.released_at else "not released"
        print(f"  {HOLDS[hold.kind]:<16} {day(hold.held_at)}, {end}: {hold.told}")
    if request.denial is not None:
        print(f"  {'denied':<16} {day(request.denial.denied_at)}: {request.denial.reason}")
    for outcome in request.outcomes:
        for kept in outcome.undone:
            print(f"  {'undone':<16} {day(kept.undone_at)}, {_describe_undone(kept)}: {kept.reason}")
        if outcome.erasure is not None and outcome.decided_at is not None:
            told = f"forgotten by {outcome.model} {day(outcome.decided_at)}, erased: {tell_erasure(outcome.erasure)}"
            late = ", past the due date" if _is_late(request, outcome) else ""
            print(f"  {'erasure':<16} {told}{late}")
        for name, value in _list_facts(outcome.receipt):
            print(f"  {name:<16} {text(value)}")


def _is_late(request: Request, outcome: Outcome) -> bool:
    """Tells whether a person is not erased before the request is due."""
    erasure = outcome.erasure
    return erasure is not None and (erasure.erased_at or erasure.erase_after) > request.due_at


def _list_facts(receipt: Receipt | None) -> Iterable[tuple[str, Any]]:
    return () if receipt is None else receipt.model_dump(exclude_unset=True).items()


def _describe_answer(outcome: AddedOutcome) -> str:
    return outcome.state if outcome.is_new else f"{outcome.state} already"


def _describe_undone(kept: UndoneOutcome) -> str:
    wave = f" by wave {kept.wave_number}" if kept.wave_number is not None else ""
    return f"{kept.state}{wave} on {day(kept.decided_at)}" if kept.decided_at else f"{kept.state}{wave}"
