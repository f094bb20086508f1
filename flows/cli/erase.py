"""`amun erase`: destroys the keys of people whom a wave has forgotten, and looks for what is left of them.

And it destroys what a workspace has in clear from before it was sealed.
"""

import sys
from typing import Annotated

import typer

from amun.core.errors import InputError
from flows.cli import shared

app = typer.Typer(help="Erasing people whom a wave has forgotten.", no_args_is_help=True)


@app.command("run")
def run_erasures(
    at_once: Annotated[bool, typer.Option("--now", help="Do not wait for the end of the waiting days.")] = False,
    subjects: Annotated[
        list[str] | None,
        typer.Option("--subject", metavar="ID", help="Begin with nobody else; may be repeated.", show_default=False),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say who would be erased, and what holds up whom; change nothing.")
    ] = False,
) -> None:
    """Destroy the keys of everybody who is due, and end what an earlier call has begun.

    The weights that had learned them go along, and their files in the source, where data.source_delete says so. Exit
    code 1 when somebody can still be read, a place could not be read whole, a file cannot be deleted, somebody named by
    --subject is not erased, or a receipt is not issued.
    """
    from datetime import UTC, datetime

    from flows.pages import erase_tables
    from tasks.workspace.callbacks import send_callbacks
    from tasks.workspace.erasing import erase

    workspace = shared.open_here()
    if dry_run:
        with shared.open_ledger() as ledger:
            planned = ledger.plan_erasures(
                workspace.model, now=datetime.now(UTC), at_once=at_once, subjects=subjects or None
            )
            consumers = ledger.list_consumers(workspace.model, datetime.now(UTC))
        erase_tables.print_plan(planned)
        erase_tables.print_consumers(consumers)
        return
    done = erase(workspace, at_once=at_once, subjects=subjects or None)
    for line in send_callbacks():
        print(line, file=sys.stderr)
    erase_tables.print_erased(done)
    with shared.open_ledger() as ledger:
        erase_tables.print_consumers(ledger.list_consumers(workspace.model, datetime.now(UTC)))
    erase_tables.print_deletion(done.deletion, done.undeleted)
    if done.erased:
        from tasks.views.copies import list_untouched

        erase_tables.print_untouched(list_untouched(workspace))
    if done.unfinished or done.unissued or done.undeleted or done.deletion.failed or (subjects and done.held_up):
        raise typer.Exit(1)


@app.command("list")
def list_erasures(
    columns: shared.Columns = None,
    limit: shared.Limit = None,
    page: shared.PageNumber = 1,
    is_all: shared.IsAll = False,
    search: shared.Search = "",
    as_json: shared.AsJson = False,
) -> None:
    """List who is to be erased when, what holds that up, and who is erased; the latest last."""
    from datetime import UTC, datetime

    from flows.pages import erase_tables

    view = shared.read_view(columns, limit, page, is_all, search, as_json=as_json)
    workspace = shared.open_here()
    with shared.open_ledger() as ledger:
        erasures = ledger.list_erasures(workspace.model, datetime.now(UTC))
    chosen, num_erasures = erase_tables.choose_erasures(erasures, view)
    shared.show(chosen, as_json, lambda listed: erase_tables.print_list(listed, view, num_erasures))


@app.command("verify")
def verify_erasures(
    subjects: Annotated[
        list[str] | None,
        typer.Option("--subject", metavar="ID", help="Look for nobody else; may be repeated.", show_default=False),
    ] = None,
    before: Annotated[
        bool, typer.Option("--before", help="Look for people who still have keys: those who are to be erased, or ID.")
    ] = False,
    as_json: shared.AsJson = False,
) -> None:
    """Look through every place for copies of people's samples and of erased weights; change nothing.

    Exit code 0 only when everything was read and nobody can read a copy that is left.
    """
    from flows.pages import scan_table
    from tasks.workspace.erased_weights import read_erased_weights
    from tasks.workspace.scanning import choose_targets, scan

    workspace = shared.open_here()
    targets = choose_targets(workspace, subjects or None, before=before)
    found = scan(workspace, targets, files=[] if before else read_erased_weights(workspace))
    shared.show(scan_table.describe(found), as_json, lambda _: scan_table.print_scan(found))
    if not found.is_clean:
        raise typer.Exit(1)


@app.command("adopt")
def destroy_clear_copies(
    accept_lost_waves: Annotated[
        bool, typer.Option("--accept-lost-waves", help="Do it, although earlier waves can no longer be run again.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what lies in clear; change nothing.")] = False,
) -> None:
    """Destroy what lies in clear from before this workspace was sealed, once it has a sealed base.

    Samples and weights go from work tree, DVC cache and remotes with all versions, and from MLflow. Exit code 1 when
    something is left, or a place could not be looked into.
    """
    from flows.pages import clear_table
    from tasks.workspace.clear_copies import find_clear_copies
    from tasks.workspace.clearing import destroy_clear_copies as destroy
    from tasks.workspace.clearing import list_lost_waves

    workspace = shared.open_here()
    found = find_clear_copies(workspace)
    lost = list_lost_waves(workspace, found)
    if dry_run or (lost and not accept_lost_waves):
        clear_table.print_found(found, lost)
        if not dry_run:
            raise InputError("nothing was changed; --accept-lost-waves does it")
        return
    done = destroy(workspace)
    clear_table.print_cleared(done)
    if not done.is_finished:
        raise typer.Exit(1)
