"""`amun audit`: what the audit itself is worth."""

import typer

from flows.commands import shared

app = typer.Typer(help="What the audit itself is worth.", no_args_is_help=True)


@app.command()
def selftest(as_json: shared.AsJson = False) -> None:
    """Plant models that have not forgotten, and one that has, into nights of this workspace; exit code 1 on a miss."""
    from amun.selftest.verdicts import list_misses
    from flows import selftest as run

    quick = run.run_quick(shared.open_here())
    shared.show(quick, as_json, run.print_quick)
    if list_misses(quick.cells):
        raise typer.Exit(1)
