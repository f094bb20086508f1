"""`amun consumer`: who serves the model, and which version each has loaded."""

from typing import Annotated

import typer

from flows.cli import shared

app = typer.Typer(help="Who serves the model, and which version.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="As your deployment calls it.")]


@app.command("add")
def add_consumer(name: Name) -> None:
    """Register a replica or a deployment; an erasure waits for it to forget, until a day before the request is due."""
    from datetime import UTC, datetime

    workspace = shared.open_here()
    with shared.open_ledger() as ledger:
        consumer = ledger.add_consumer(workspace.model, name, datetime.now(UTC))
    if consumer.version is None:
        print(f"{name} is a consumer of {workspace.model}; `amun consumer seen` says which version it has loaded")
    else:
        print(f"{name} is a consumer of {workspace.model} already, and serves version {consumer.version}")


@app.command("seen")
def record_seen(
    name: Name,
    version: Annotated[
        int, typer.Argument(metavar="VERSION", min=1, help="That it has loaded, as `amun model list` numbers it.")
    ],
) -> None:
    """Say which version a consumer has loaded; its deploy script calls this, each time."""
    from datetime import UTC, datetime

    from amun.ledger.consumers import tell_holding, tell_remembering
    from tasks.tools.registered import require_version

    workspace = shared.open_here()
    require_version(workspace.model, version)
    with shared.open_ledger() as ledger:
        consumer = ledger.record_seen(workspace.model, name, str(version), datetime.now(UTC))
    print(f"{name} serves version {version} of {workspace.model}")
    for line in [*tell_holding([consumer]), *tell_remembering([consumer])]:
        print(f"warning: {line}")


@app.command("list")
def list_consumers(
    columns: shared.Columns = None,
    limit: shared.Limit = None,
    page: shared.PageNumber = 1,
    is_all: shared.IsAll = False,
    search: shared.Search = "",
    as_json: shared.AsJson = False,
) -> None:
    """List who serves the model, which version since when, and how many erasures wait for that."""
    from datetime import UTC, datetime

    from flows.pages import consumer_tables

    view = shared.read_view(columns, limit, page, is_all, search, as_json=as_json)
    workspace = shared.open_here()
    with shared.open_ledger() as ledger:
        consumers = ledger.list_consumers(workspace.model, datetime.now(UTC))
    chosen, num_consumers = consumer_tables.choose_consumers(consumers, view)
    shared.show(chosen, as_json, lambda listed: consumer_tables.print_list(listed, view, num_consumers))


@app.command("remove")
def remove_consumer(name: Name) -> None:
    """Take out a consumer that serves the model no more; it holds up nothing from then on."""
    workspace = shared.open_here()
    with shared.open_ledger() as ledger:
        ledger.remove_consumer(workspace.model, name)
    print(f"{name} is no consumer of {workspace.model} any more")
