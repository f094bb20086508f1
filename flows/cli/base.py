"""`amun base`: the model that every wave descends from."""

import typer

from amun.core.log import begin_log
from flows.cli import shared

app = typer.Typer(help="The base model.", no_args_is_help=True)


@app.command("rebuild")
def rebuild_base() -> None:
    """Train a new base on what is still held, as a wave of its own."""
    from flows import running

    begin_log()
    shared.tell_outcome(running.rebuild_base(shared.open_here()))
