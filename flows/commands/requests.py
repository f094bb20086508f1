"""`amun request`: who asks to be forgotten, and what became of it."""

from typing import Annotated

import typer

from flows.commands import shared

app = typer.Typer(help="Requests to be forgotten.", no_args_is_help=True)

RequestId = Annotated[
    str, typer.Argument(metavar="REQUEST", help="Id of the request, as `amun request list` shows it.")
]


@app.command("add")
def add_requests(
    subjects: Annotated[list[str], typer.Argument(metavar="SUBJECT...", help="Ids of the people to forget.")],
    as_json: shared.AsJson = False,
) -> None:
    """Record requests to be forgotten, all or none."""
    from datetime import UTC, datetime

    from flows import tables

    shared.open_here()
    with shared.open_ledger() as ledger:
        added = ledger.add_requests(subjects, received_at=None, now=datetime.now(UTC))
    shared.show(added, as_json, tables.print_added)


@app.command("list")
def list_requests(
    state: Annotated[
        str | None, typer.Option(help="Only those in this state: pending, in_wave, completed, ...", show_default=False)
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
def show_request(request: RequestId, as_json: shared.AsJson = False) -> None:
    """Show one request, for every model, with its receipts."""
    from flows import tables

    shared.open_here()
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
