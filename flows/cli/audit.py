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
    """Test the audit with models that have not forgotten, and one that has; exit code 1 where it is wrong."""
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
