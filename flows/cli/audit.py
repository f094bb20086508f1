"""`amun audit`: what the audit itself is worth."""

from typing import Annotated

import typer

from flows.cli import shared

app = typer.Typer(help="What the audit itself is worth.", no_args_is_help=True)


@app.command()
def selftest(
    full: Annotated[
        bool, typer.Option("--full", help="Three bases, many nights of each size, people whose images are alike.")
    ] = False,
    as_json: shared.AsJson = False,
) -> None:
    """Plant models that have not forgotten, and one that has, into nights of this workspace; exit code 1 on a miss."""
    from flows import selftest as run

    workspace = shared.open_here()
    found: run.Quick | run.Full
    if full:
        found = run.run_full(workspace)
        shared.show(found, as_json, run.print_full)
    else:
        found = run.run_quick(workspace)
        shared.show(found, as_json, run.print_quick)
    if run.has_miss(found):
        raise typer.Exit(1)
