"""`amun request`: who asks to be forgotten, and what became of it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from amun.core.errors import InputError
from flows.cli import shared
from flows.cli.drop import take_list

if TYPE_CHECKING:
    from datetime import datetime

    from amun.ledger import Demand, Ledger, Request
    from amun.ledger.laws import Law
    from amun.ledger.records import HoldKind

app = typer.Typer(help="Requests to be forgotten.", no_args_is_help=True)

UNMATCHED = 3  # exit code: recorded, and somebody has to look

RequestId = Annotated[
    str, typer.Argument(metavar="REQUEST", help="Id of the request, as `amun request list` shows it.")
]


Subjects = Annotated[
    list[str] | None,
    typer.Argument(metavar="[SUBJECT]...", help="Ids of the people to forget.", show_default=False),
]
Csv = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="A CSV file of requests: subject_id and, optional, received_at, reference, law.",
        show_default=False,
    ),
]
Received = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="When the demand came: 2026-01-31 or 2026-01-31T09:00+01:00.", show_default=False
    ),
]
Reference = Annotated[str | None, typer.Option(metavar="TICKET", help="The company's own ticket.", show_default=False)]
LawName = Annotated[
    str | None,
    typer.Option("--law", metavar="LAW", help="Whose clock it runs by: gdpr (as it is unless said) or ccpa."),
]
ConfirmUnknown = Annotated[
    bool, typer.Option("--confirm-unknown", help="Nothing is held of the people who match nobody.")
]


@app.command("add")
def add_requests(
    subjects: Subjects = None,
    csv: Csv = None,
    received: Received = None,
    reference: Reference = None,
    law: LawName = None,
    confirm_unknown: ConfirmUnknown = False,
    unverified: Annotated[
        bool,
        typer.Option(
            "--unverified",
            help="Nobody knows yet that it is they who ask: the requests wait for `amun request release`.",
        ),
    ] = False,
    as_json: shared.AsJson = False,
) -> None:
    """Record requests to be forgotten, all or none: of the people named, or of those in a CSV file.

    Exit code 3 when some match nobody in the data: their requests wait for you.
    """
    from dataclasses import replace
    from datetime import UTC, datetime

    from amun.ledger import Demand, UnmatchedError
    from flows.pages import tables

    if bool(subjects) == (csv is not None):
        raise InputError("name the people to forget, or a file of them with --csv FILE: one of the two")
    if csv is not None and any(option is not None for option in (received, reference, law)):
        raise InputError("--received, --reference and --law are of people named here; in a file they are columns")
    intake = shared.open_here().params.intake
    now = datetime.now(UTC)
    received_at = None if received is None else _read_time(received, now)
    clock = _read_law(law or "")
    named = [Demand(subject, received_at, reference, clock) for subject in subjects or []]
    # of a file each is let go once it is checked: there may be a million
    demands = (
        replace(one, is_verified=not unverified, num_approvals=intake.approvals)
        for one in (named if csv is None else _read_file(csv, now))
    )
    # people who are named one by one are looked at one by one; whoever confirms has looked
    max_share = None if csv is None or confirm_unknown else intake.max_unmatched_share
    with shared.open_ledger() as ledger:
        try:
            added = ledger.add_demands(demands, now=now, confirm_unknown=confirm_unknown, max_unmatched_share=max_share)
        except UnmatchedError as error:
            near = {} if as_json else ledger.suggest_ids(error.strangers[: tables.MAX_LISTED])
            raise InputError("\n".join([f"{csv}: {error}", *tables.list_near(near)])) from None
        strangers = [answer for answer in added if answer.is_unmatched]
        asked = [answer.subject_id for answer in strangers[: tables.MAX_LISTED]]
        near = ledger.suggest_ids(asked) if asked and not as_json else {}
    shared.show(added, as_json, tables.print_added)
    tables.print_near(near)
    if strangers:
        print(f"amun: {tables.describe_unmatched(strangers)}", file=sys.stderr)
        raise typer.Exit(UNMATCHED)


app.command("from-drop")(take_list)


@app.command("list")
def list_requests(
    state: Annotated[
        str | None,
        typer.Option(help="Only those in this state: pending, unmatched, held, completed, ...", show_default=False),
    ] = None,
    columns: shared.Columns = None,
    limit: shared.Limit = None,
    page: shared.PageNumber = 1,
    is_all: shared.IsAll = False,
    search: shared.Search = "",
    as_json: shared.AsJson = False,
) -> None:
    """List the requests and what became of them, the latest last; --search looks at ids and references."""
    from datetime import UTC, datetime

    from flows.pages import tables

    view = shared.read_view(columns, limit, page, is_all, search, as_json=as_json)
    model = shared.open_here().model
    with shared.open_ledger() as ledger:
        num_requests = ledger.count_requests(model, state, search=search)
        view.require_page(num_requests)
        is_odd = state in (None, "unmatched")
        num_unmatched = ledger.count_requests(model, "unmatched", search=search) if is_odd else 0
        found = ledger.list_requests(model, state, search=search, limit=view.limit, num_later=view.num_later)
    now = datetime.now(UTC)
    requests = [request.see(now) for request in found]
    shared.show(requests, as_json, lambda listed: tables.print_list(listed, view, num_requests, num_unmatched))


@app.command("show")
def show_request(
    request: RequestId,
    as_json: shared.AsJson = False,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write its record as one page to a new file.", show_default=False),
    ] = None,
) -> None:
    """Show one request, for every model, with its receipts."""
    from datetime import UTC, datetime

    from flows.pages import tables

    workspace = shared.open_here()
    if html is not None:
        from flows.pages.request_page import write_page

        write_page(workspace, request, html)
        print(f"written: {html}")
        return
    from tasks.workspace.twins import find_shared

    with shared.open_ledger() as ledger:
        found = ledger.get_request(request).see(datetime.now(UTC))
        is_unmatched = any(outcome.state == "unmatched" for outcome in found.outcomes)
        near = ledger.suggest_ids([found.subject_id]) if is_unmatched and not as_json else {}
        numbers = [one.wave_number for one in found.outcomes if one.model == workspace.model]
        wave = ledger.get_wave(workspace.model, numbers[0]) if numbers and numbers[0] is not None else None
    twins = find_shared(workspace, found.subject_id, wave)
    shared.show(vars(found) | {"twins": twins}, as_json, lambda _: tables.print_request(found))
    if twins is not None and not as_json:
        print(f"  {'same pictures':<16} {twins.describe()}")
    tables.print_near(near)


@app.command("confirm")
def confirm_requests(
    requests: Annotated[list[str], typer.Argument(metavar="REQUEST...", help="Ids of requests that match nobody.")],
    as_json: shared.AsJson = False,
) -> None:
    """Say that requests which match nobody are right as they are: nothing is held of these people."""
    from datetime import UTC, datetime

    from flows.pages import tables

    shared.open_here()
    with shared.open_ledger() as ledger:
        confirmed = ledger.confirm_requests(requests, now=datetime.now(UTC))
    shared.show(confirmed, as_json, tables.print_requests)


@app.command("withdraw")
def withdraw_request(request: RequestId, as_json: shared.AsJson = False) -> None:
    """Withdraw a request that still waits: pending, held or unmatched."""
    _change(lambda ledger, now: ledger.withdraw_request(request, now=now), as_json)


@app.command("deny")
def deny_request(
    request: RequestId,
    reason: Annotated[str, typer.Option(help="Why it is not honoured; stays on record.", show_default=False)],
    as_json: shared.AsJson = False,
) -> None:
    """Close a request that still waits as one that is not honoured. You have to tell the person why."""
    _change(lambda ledger, now: ledger.deny_request(request, reason, now=now), as_json)


@app.command("hold")
def hold_request(
    request: RequestId,
    reason: Annotated[str, typer.Option(help="Why it may not be honoured yet; stays on record.", show_default=False)],
    identity: Annotated[
        bool, typer.Option("--identity", help="Nobody knows yet that it is the person who asks; GDPR's clock stops.")
    ] = False,
    as_json: shared.AsJson = False,
) -> None:
    """Keep a pending request out of every wave until it is released: a legal hold, unless --identity says otherwise."""
    kind: HoldKind = "identity" if identity else "legal"
    _change(lambda ledger, now: ledger.hold_request(request, reason, now=now, kind=kind), as_json)


@app.command("release")
def release_request(request: RequestId, as_json: shared.AsJson = False) -> None:
    """End the hold on a request: it is pending again, with the dates it had, but for the time its clock stood still."""
    _change(lambda ledger, now: ledger.release_request(request, now=now), as_json)


@app.command("approve")
def approve_request(
    request: RequestId,
    by: Annotated[str, typer.Option(metavar="NAME", help="Who approves it; stays on record.", show_default=False)],
    as_json: shared.AsJson = False,
) -> None:
    """Approve a request that waits for that; once as many people have as intake.approvals says, a wave may take it."""
    _change(lambda ledger, now: ledger.approve_request(request, by, now=now), as_json)


@app.command("extend")
def extend_request(
    request: RequestId,
    reason: Annotated[str, typer.Option(help="Why it takes longer; stays on record.", show_default=False)],
    as_json: shared.AsJson = False,
) -> None:
    """Put off when a request is due, as its law allows it once. You have to tell the person, before it was due."""
    _change(lambda ledger, now: ledger.extend_request(request, reason, now=now), as_json)


def _change(change: Callable[["Ledger", "datetime"], "Request"], as_json: bool) -> None:
    """Changes one request now, and shows it as it is then."""
    from datetime import UTC, datetime

    from flows.pages import tables

    shared.open_here()
    with shared.open_ledger() as ledger:
        changed = change(ledger, now := datetime.now(UTC)).see(now)
    shared.show(changed, as_json, tables.print_request)


def _read_law(law: str) -> "Law":
    from amun.ledger.laws import check_law

    try:
        return check_law(law)
    except InputError as error:
        raise InputError(f"--law: {error}") from None


def _read_time(received: str, now: "datetime") -> "datetime":
    from amun.ledger.demand_files import parse_received

    try:
        received_at = parse_received(received, now)
    except InputError as error:
        raise InputError(f"--received: {error}") from None
    if received_at is None:
        raise InputError("--received: it is empty; write it as 2026-01-31 or 2026-01-31T09:00+01:00")
    return received_at


def _read_file(path: Path, now: "datetime") -> "list[Demand]":
    from amun.ledger.demand_files import FaultyFileError, parse_demands

    try:
        return parse_demands(path.read_bytes(), now)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except FaultyFileError as error:
        raise InputError(f"{path}: {error}") from None
