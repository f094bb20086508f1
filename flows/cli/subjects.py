"""`amun subject`: where one person's samples went."""

from typing import Annotated

import typer

from flows.cli import shared

app = typer.Typer(help="One person's samples.", no_args_is_help=True)


@app.command("trace")
def trace_subject(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="Id of the person, as the data name them.")],
    as_json: shared.AsJson = False,
) -> None:
    """Show every data version, model version and wave that the person's samples went into, and nobody else's."""
    from flows.pages.trace_table import print_trace
    from tasks.views.trace import trace_subject as trace

    shared.show(trace(shared.open_here(), subject), as_json, print_trace)
