"""`amun api`: requests by HTTP, and the tokens with which programs make them."""

from typing import Annotated

import typer

from amun.core.log import begin_log
from flows.cli import shared

app = typer.Typer(help="Take requests by HTTP from programs that have a token.", invoke_without_command=True)
tokens = typer.Typer(help="Tokens of programs that make requests by HTTP.", no_args_is_help=True)
app.add_typer(tokens, name="token")

Name = Annotated[str, typer.Argument(metavar="NAME", help="What you call the program that has it.")]


@app.callback()
def serve(
    context: typer.Context,
    host: Annotated[
        str, typer.Option(metavar="HOST", help="Where it listens; 0.0.0.0 is for other machines, too.")
    ] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(min=1, max=65535, metavar="PORT", show_default=False)] = None,
    rate: Annotated[
        float,
        typer.Option(
            min=0.1, metavar="N", help="Calls a second that each token may make of this process, on the average."
        ),
    ] = 20.0,
    identity: Annotated[
        str,
        typer.Option(metavar="TYPE", help="Which identity of privacy suites is the id of people in the data."),
    ] = "controller_customer_id",
) -> None:
    """Serve until Ctrl-C or SIGTERM: take requests by HTTP, show where they stand, hand out receipts.

    Privacy suites send theirs below /v2 (OpenDSR 2.0), once the environment names a key and a certificate for it.

    Without --port it is 9466, or else a free one. Each call is a line of JSON; none names a person.
    """
    if context.invoked_subcommand is not None:
        return
    from flows.api import server

    # the standard output has the log of calls alone
    begin_log(has_output=False)
    server.serve(shared.open_here(), host, port, rate, identity)


@tokens.command("add")
def add_token(
    name: Name,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="What it may be used for: requests:write, requests:read, receipts:read; may be given again.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Draw a token and print it, this once: the ledger keeps a digest alone."""
    from datetime import UTC, datetime

    shared.open_here()
    with shared.open_ledger() as ledger:
        print(ledger.add_token(name, scope or [], datetime.now(UTC)))


@tokens.command("list")
def list_tokens(
    columns: shared.Columns = None,
    limit: shared.Limit = None,
    page: shared.PageNumber = 1,
    is_all: shared.IsAll = False,
    search: shared.Search = "",
    as_json: shared.AsJson = False,
) -> None:
    """List the tokens by name, those that are revoked too, less what opens anything."""
    from flows.pages import token_table

    view = shared.read_view(columns, limit, page, is_all, search, as_json=as_json)
    shared.open_here()
    with shared.open_ledger() as ledger:
        found = ledger.list_tokens()
    chosen, num_tokens = token_table.choose_tokens(found, view)
    shared.show(chosen, as_json, lambda listed: token_table.print_list(listed, view, num_tokens))


@tokens.command("revoke")
def revoke_token(name: Name) -> None:
    """Make a token open nothing, from the next call on."""
    from datetime import UTC, datetime

    shared.open_here()
    with shared.open_ledger() as ledger:
        revoked = ledger.revoke_token(name, datetime.now(UTC))
    print(f"{revoked.name} opens nothing since {revoked.revoked_at:%Y-%m-%d %H:%M} UTC")
