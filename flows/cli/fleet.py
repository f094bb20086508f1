"""`amun fleet`: all models of the ledger that this workspace shares with others."""

import typer

from flows.cli import shared

app = typer.Typer(help="All models of the ledger that this workspace shares.", no_args_is_help=True)


@app.callback()
def choose_command() -> None:
    """Keeps the name of a command that stands alone in its group."""


@app.command("status")
def show_status(as_json: shared.AsJson = False) -> None:
    """Show which models have forgotten whoever asked, and which have not; exit code 1 when one is overdue."""
    from datetime import UTC, datetime

    from flows.pages.fleet_table import print_standings

    shared.open_here()
    with shared.open_ledger() as ledger:
        standings = ledger.list_standings(datetime.now(UTC))
    shared.show(standings, as_json, print_standings)
    if any(one.is_overdue for one in standings):
        raise typer.Exit(1)
