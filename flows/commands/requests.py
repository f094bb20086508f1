"""`amun request`: who asks to be forgotten, and what became of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from amun.errors import InputError
from flows.commands import shared

if TYPE_CHECKING:
    from datetime import datetime

    from amun.ledger import Demand

app = typer.Typer(help="Requests to be forgotten.", no_args_is_help=True)

RequestId = Annotated[
    str, typer.Argument(metavar="REQUEST", help="Id of the request, as `amun request list` shows it.")
]


@app.command("add")
def add_requests(
    subjects: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SUBJECT]...", help="Ids of the people to forget.", show_default=False),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A CSV file of requests: subject_id and, optional, received_at and reference.",
            show_default=False,
        ),
    ] = None,
    as_json: shared.AsJson = False,
) -> None:
    """Record requests to be forgotten, all or none: of the people named, or of those in a CSV file."""
    from datetime import UTC, datetime

    from amun.ledger import Demand
    from flows import tables

    if bool(subjects) == (csv is not None):
        raise InputError("name the people to forget, or a file of them with --csv FILE: one of the two")
    shared.open_here()
    now = datetime.now(UTC)
    demands = [Demand(subject) for subject in subjects or []] if csv is None else _read_file(csv, now)
    with shared.open_ledger() as ledger:
        added = ledger.add_demands(demands, now=now)
    shared.show(added, as_json, tables.print_added)


@app.command("list")
def list_requests(
    state: Annotated[
        str | None, typer.Option(help="Only those in this state: pending, held, completed, ...", show_default=False)
    ] = None,
    as_json: shared.AsJson = False,
) -> None:
    """List the requests and what became of them."""
    from flows import tables

    workspace = shared.open_here()
    with shared.open_ledger() as ledger:
        requests = ledger.list_requests(workspace.model, state)
    shared.show(requests, as_json, tables.print_requests)


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
    from flows import tables

    workspace = shared.open_here()
    if html is not None:
        from flows.request_page import write_page

        write_page(workspace, request, html)
        print(f"written: {html}")
        return
    with shared.open_ledger() as ledger:
        found = ledger.get_request(request)
    shared.show(found, as_json, tables.print_request)


@app.command("withdraw")
def withdraw_request(request: RequestId, as_json: shared.AsJson = False) -> None:
    """Withdraw a request that is still pending."""
    from datetime import UTC, datetime

    from flows import tables

    shared.open_here()
    with shared.open_ledger() as ledger:
        withdrawn = ledger.withdraw_request(request, now=datetime.now(UTC))
    shared.show(withdrawn, as_json, tables.print_request)


@app.command("hold")
def hold_request(
    request: RequestId,
    reason: Annotated[str, typer.Option(help="Why it may not be honoured yet; stays on record.", show_default=False)],
    as_json: shared.AsJson = False,
) -> None:
    """Keep a pending request out of every wave until it is released: a legal hold."""
    from datetime import UTC, datetime

    from flows import tables

    shared.open_here()
    with shared.open_ledger() as ledger:
        held = ledger.hold_request(request, reason, now=datetime.now(UTC))
    shared.show(held, as_json, tables.print_request)


@app.command("release")
def release_request(request: RequestId, as_json: shared.AsJson = False) -> None:
    """End the hold on a request: it is pending again, with the dates it had."""
    from datetime import UTC, datetime

    from flows import tables

    shared.open_here()
    with shared.open_ledger() as ledger:
        released = ledger.release_request(request, now=datetime.now(UTC))
    shared.show(released, as_json, tables.print_request)


def _read_file(path: Path, now: "datetime") -> "list[Demand]":
    from amun.demands import FaultyFileError, parse_demands

    try:
        return parse_demands(path.read_bytes(), now)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except FaultyFileError as error:
        raise InputError(f"{path}: {error}") from None
