"""`amun wave`: run a wave, look at it, compare it, reproduce it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from amun.core.errors import AmunError, InputError
from amun.core.log import begin_log
from flows.cli import checks, shared

if TYPE_CHECKING:
    from amun.evidence.worst import Worst
    from tasks.workspace.workspace import Workspace

app = typer.Typer(help="Waves of deletion.", no_args_is_help=True)

WaveNumber = Annotated[int, typer.Argument(metavar="N", min=0, max=999_999, help="Number of the wave.")]


@app.command("run")
def run_wave(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what a wave would do, and do nothing.")] = False,
) -> None:
    """Honour all pending requests in one wave, or go on with the open one."""
    from flows import preview, running

    if not dry_run:
        begin_log()
    workspace = shared.open_here()
    if dry_run:
        checks.require_sound(workspace)
        print(preview.describe_next_wave(workspace))
    else:
        shared.tell_outcome(running.run_deletion_wave(workspace))


@app.command("plan")
def plan_wave(as_json: shared.AsJson = False) -> None:
    """Say what tonight would be about, and what it is expected to take; nothing is done."""
    from flows.pages import plan_table
    from flows.planning import estimate_night

    workspace = shared.open_here()
    checks.require_sound(workspace)
    shared.show(estimate_night(workspace), as_json, plan_table.print_estimate)


@app.command("list")
def list_waves(
    columns: shared.Columns = None,
    limit: shared.Limit = None,
    page: shared.PageNumber = 1,
    is_all: shared.IsAll = False,
    search: shared.Search = "",
    as_json: shared.AsJson = False,
) -> None:
    """List the waves with their figures, the latest last."""
    from flows.pages import wave_tables

    view = shared.read_view(columns, limit, page, is_all, search, as_json=as_json)
    workspace = shared.open_here()
    with shared.open_ledger() as ledger:
        waves, num_waves = wave_tables.choose_waves(ledger.list_waves(workspace.model), view)
    shared.show(waves, as_json, lambda listed: wave_tables.print_list(listed, view, num_waves))


@app.command("show")
def show_wave(
    number: WaveNumber,
    names_worst: Annotated[
        bool, typer.Option("--worst", help="Name the people who stand out most, for whoever may know; kept nowhere.")
    ] = False,
    as_json: shared.AsJson = False,
) -> None:
    """Show one wave in full."""
    from flows.pages import wave_tables

    workspace = shared.open_here()
    with shared.open_ledger() as ledger:
        wave = ledger.get_wave(workspace.model, number)
        requests = ledger.requests_of_wave(workspace.model, number)
        worst = _find_worst(workspace, number) if names_worst else None
    shown = {**vars(wave), "requests": [request.request_id for request in requests]}
    shown |= {"worst": worst} if worst else {}
    shared.show(shown, as_json, lambda _: wave_tables.print_wave(wave, requests, worst))


def _find_worst(workspace: "Workspace", number: int) -> "Worst":
    from tasks.workspace.clear_waves import refuse_cleared
    from tasks.workspace.history import find_wave_commit
    from tasks.workspace.worktree import find_worst

    refuse_cleared(workspace, number)
    return find_worst(workspace.root, find_wave_commit(workspace, number))


@app.command("compare")
def compare_wave(number: WaveNumber, as_json: shared.AsJson = False) -> None:
    """Retrain exactly on what remained at a wave, and put that model's figures beside the wave's."""
    from flows.pages import wave_tables
    from tasks.views.comparison import find_compared, show_comparison
    from tasks.workspace.clear_waves import refuse_cleared
    from tasks.workspace.history import find_wave_commit
    from tasks.workspace.worktree import compare_wave as compare

    workspace = shared.open_here()
    with shared.open_ledger() as ledger:
        ledger.get_wave(workspace.model, number)
        refuse_cleared(workspace, number)
        commit = find_wave_commit(workspace, number)
        version = find_compared(workspace, number, commit)
        comparison = compare(workspace.root, commit)
        ledger.set_comparison(workspace.model, number, comparison)
        show_comparison(version, comparison)
        wave = ledger.get_wave(workspace.model, number)
    shared.show(wave, as_json, lambda compared: wave_tables.print_waves([compared]))


DrawnFrom = Annotated[
    str, typer.Option("--at", metavar="COMMIT", help="Commit of the branch whose waves and receipts are drawn from.")
]


@app.command("draw")
def draw_wave(
    value: Annotated[str, typer.Argument(metavar="VALUE", help="Public and random, and not your choice.")],
    at: DrawnFrom = "HEAD",
    as_json: shared.AsJson = False,
) -> None:
    """Show in which order a value draws the waves, by git alone; nothing is run or recorded."""
    from amun.receipts.drawing import check_value, rank_waves
    from flows.pages import receipt_tables
    from tasks.workspace.drawing import read_lot
    from tasks.workspace.workspace import open_clone

    check_value(value)
    workspace = open_clone(Path.cwd())
    lot = read_lot(workspace, at)
    ranked = rank_waves(value, lot.head, workspace.model, lot.commits)
    shared.show(receipt_tables.Drawn(value, lot.head, lot.commit, ranked), as_json, receipt_tables.print_draw)


@app.command("reproduce")
def reproduce_wave(
    number: Annotated[
        int | None, typer.Argument(metavar="[N]", min=0, max=999_999, help="Number of the wave.", show_default=False)
    ] = None,
    drawn_by: Annotated[
        str | None,
        typer.Option(metavar="VALUE", help="Instead of N: public and random, and not your choice.", show_default=False),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="COMMIT",
            help="With --drawn-by: of the branch whose waves and receipts are drawn from; HEAD if not given.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run a wave's stages anew at its commit and compare the digests of what comes out; the ledger keeps the result."""
    from amun.receipts.drawing import check_value
    from tasks.workspace.clear_waves import refuse_cleared
    from tasks.workspace.history import find_wave_commit
    from tasks.workspace.worktree import find_other_figures, record_reproduction
    from tasks.workspace.worktree import reproduce_wave as reproduce

    if (number is None) == (drawn_by is None) or (at is not None and drawn_by is None):
        raise InputError("name a wave, or --drawn-by VALUE, which draws one; --at COMMIT goes with --drawn-by alone")
    if drawn_by is not None:
        check_value(drawn_by)
    workspace = shared.open_here()
    if drawn_by is not None:
        number, differing = _reproduce_drawn(workspace, drawn_by, at or "HEAD")
    elif number is not None:
        refuse_cleared(workspace, number)
        commit = find_wave_commit(workspace, number)
        differing = [*reproduce(workspace.root, commit), *find_other_figures(workspace, number, commit)]
        record_reproduction(workspace, number, differing)
    if differing:
        raise AmunError(f"wave {number}: other bytes in {', '.join(differing)}")
    print(f"wave {number}: same bytes")


def _reproduce_drawn(workspace: "Workspace", value: str, at: str) -> tuple[int, list[str]]:
    """Returns which wave was drawn and run again, and what differs; the ledger keeps both."""
    from tasks.workspace.drawing import draw_and_run, read_lot
    from tasks.workspace.worktree import record_reproduction

    draw, differing = draw_and_run(workspace, value, read_lot(workspace, at))
    record_reproduction(workspace, draw.wave, differing, draw)
    return draw.wave, differing
