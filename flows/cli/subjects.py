"""`amun subject`: where one person's samples went, and all that is held on the person."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli import shared

app = typer.Typer(help="One person's samples.", no_args_is_help=True)


Subject = Annotated[str, typer.Argument(metavar="SUBJECT", help="Id of the person, as the data name them.")]


@app.command("trace")
def trace_subject(
    subject: Subject,
    as_json: shared.AsJson = False,
) -> None:
    """Show every data version, model version and wave that the person's samples went into, and nobody else's."""
    from flows.pages.trace_table import print_trace
    from tasks.views.trace import trace_subject as trace

    shared.show(trace(shared.open_here(), subject), as_json, print_trace)


@app.command("near")
def list_near(
    subject: Subject,
    as_json: shared.AsJson = False,
) -> None:
    """Name whose pictures are as near to the person's as copies of these that were encoded anew."""
    from flows.pages.near_table import print_near
    from tasks.workspace.near_pictures import find_near

    shared.show(find_near(shared.open_here(), subject), as_json, print_near)


@app.command("export")
def export_subject(
    subject: Subject,
    to: Annotated[Path, typer.Option(metavar="FILE.zip", help="A new file, outside git.", show_default=False)],
) -> None:
    """Write all that is held on one person to a zip file that its owner alone can read, and nothing on anybody else."""
    from flows.pages.export_file import write_export

    print(write_export(shared.open_here(), subject, to))
