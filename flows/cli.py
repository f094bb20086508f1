"""The command line `amun`. Nothing heavy is imported before a command needs it: `--help` answers at once."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from amun.errors import AmunError, InputError

if TYPE_CHECKING:
    from amun.ledger import Ledger
    from flows.outcome import Outcome
    from tasks.workspace import Workspace


class Commands(TyperGroup):
    """Turns an error into its one line and its exit code: 2 for bad input, 1 for a failure."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except AmunError as error:
            print(f"amun: {error}", file=sys.stderr)
            raise typer.Exit(InputError.exit_code if isinstance(error, InputError) else 1) from None


app = typer.Typer(
    cls=Commands,
    help="Makes a trained image classifier forget people's data, in waves that run unattended.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
request_app = typer.Typer(help="Requests to be forgotten.", no_args_is_help=True)
wave_app = typer.Typer(help="Waves of deletion.", no_args_is_help=True)
base_app = typer.Typer(help="The base model.", no_args_is_help=True)
app.add_typer(request_app, name="request")
app.add_typer(wave_app, name="wave")
app.add_typer(base_app, name="base")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
WaveNumber = Annotated[int, typer.Argument(metavar="N", min=0, max=999_999, help="Number of the wave.")]
RequestId = Annotated[
    str, typer.Argument(metavar="REQUEST", help="Id of the request, as `amun request list` shows it.")
]


@app.command()
def init(
    remote: Annotated[
        str | None, typer.Option(help="DVC remote for the data: s3://bucket/prefix or a folder.", show_default=False)
    ] = None,
) -> None:
    """Make this clone a workspace and build the base, or join the workspace it was cloned from."""
    from flows import setup
    from tasks.workspace import open_clone

    clone = open_clone(Path.cwd())
    if setup.is_joining(clone):
        setup.join_workspace(clone)
        print(f"joined the workspace of {clone.model}: its data are here, its waves can be reproduced")
    elif setup.is_finished(clone):
        if remote is not None:
            raise InputError(f"{clone.root} is a workspace already; change its remote with `dvc remote`")
        print(f"{clone.root} is a workspace of {clone.model} already; `amun status` shows it")
    else:
        _end(setup.create_workspace(clone, remote))


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show pending and overdue requests, the open wave and the champion; exit code 1 when a request is overdue."""
    from datetime import UTC, datetime

    from flows import tables
    from tasks.registry import find_champion

    workspace = _open()
    with _ledger() as ledger:
        counts = ledger.count_status(workspace.model, datetime.now(UTC))
    champion = find_champion(workspace.model)
    shown = {"model": workspace.model, "champion": None if champion is None else champion.version, **vars(counts)}
    _show(shown, as_json, tables.print_status)
    if counts.overdue:
        raise typer.Exit(1)


@request_app.command("add")
def add_requests(
    subjects: Annotated[list[str], typer.Argument(metavar="SUBJECT...", help="Ids of the people to forget.")],
    as_json: AsJson = False,
) -> None:
    """Record requests to be forgotten, all or none."""
    from datetime import UTC, datetime

    from flows import tables

    _open()
    with _ledger() as ledger:
        added = ledger.add_requests(subjects, received_at=None, now=datetime.now(UTC))
    _show(added, as_json, tables.print_added)


@request_app.command("list")
def list_requests(
    state: Annotated[
        str | None, typer.Option(help="Only those in this state: pending, in_wave, completed, ...", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the requests and what became of them."""
    from flows import tables

    workspace = _open()
    with _ledger() as ledger:
        requests = ledger.list_requests(workspace.model, state)
    _show(requests, as_json, tables.print_requests)


@request_app.command("show")
def show_request(request: RequestId, as_json: AsJson = False) -> None:
    """Show one request, for every model, with its receipts."""
    from flows import tables

    _open()
    with _ledger() as ledger:
        found = ledger.get_request(request)
    _show(found, as_json, tables.print_request)


@request_app.command("withdraw")
def withdraw_request(request: RequestId, as_json: AsJson = False) -> None:
    """Withdraw a request that is still pending."""
    from datetime import UTC, datetime

    from flows import tables

    _open()
    with _ledger() as ledger:
        withdrawn = ledger.withdraw_request(request, now=datetime.now(UTC))
    _show(withdrawn, as_json, tables.print_request)


@wave_app.command("run")
def run_wave(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what a wave would do, and do nothing.")] = False,
) -> None:
    """Honour all pending requests in one wave, or go on with the open one."""
    from flows import running

    workspace = _open()
    if dry_run:
        print(running.describe_next_wave(workspace))
    else:
        _end(running.run_deletion_wave(workspace))


@wave_app.command("list")
def list_waves(as_json: AsJson = False) -> None:
    """List all waves with their figures."""
    from flows import tables

    workspace = _open()
    with _ledger() as ledger:
        waves = ledger.list_waves(workspace.model)
    _show(waves, as_json, tables.print_waves)


@wave_app.command("show")
def show_wave(number: WaveNumber, as_json: AsJson = False) -> None:
    """Show one wave in full."""
    from flows import tables

    workspace = _open()
    with _ledger() as ledger:
        wave = ledger.get_wave(workspace.model, number)
        requests = ledger.requests_of_wave(workspace.model, number)
    shown = {**vars(wave), "requests": [request.request_id for request in requests]}
    _show(shown, as_json, lambda _: tables.print_wave(wave, requests))


@wave_app.command("compare")
def compare_wave(number: WaveNumber, as_json: AsJson = False) -> None:
    """Retrain exactly on what remained at a wave, and put that model's figures beside the wave's."""
    from flows import tables
    from tasks.worktree import compare_wave as compare

    workspace = _open()
    with _ledger() as ledger:
        ledger.get_wave(workspace.model, number)
        comparison = compare(workspace.root, number)
        ledger.set_comparison(workspace.model, number, comparison)
        wave = ledger.get_wave(workspace.model, number)
    _show(wave, as_json, lambda compared: tables.print_waves([compared]))


@wave_app.command("reproduce")
def reproduce_wave(number: WaveNumber) -> None:
    """Run a wave's stages anew at its tag and compare the digests of what comes out."""
    from tasks.worktree import reproduce_wave as reproduce

    workspace = _open()
    if differing := reproduce(workspace.root, number):
        raise AmunError(f"wave {number}: other bytes in {', '.join(differing)}")
    print(f"wave {number}: same bytes")


@base_app.command("rebuild")
def rebuild_base() -> None:
    """Train a new base on what is still held, as a wave of its own."""
    from flows import running

    _end(running.rebuild_base(_open()))


def _open() -> "Workspace":
    from tasks.workspace import open_workspace

    return open_workspace(Path.cwd())


def _ledger() -> "Ledger":
    from tasks.workspace import open_ledger

    return open_ledger()


def _show(content: Any, as_json: bool, print_table: Any) -> None:
    if not as_json:
        print_table(content)
        return
    from pydantic import TypeAdapter

    print(json.dumps(TypeAdapter(Any).dump_python(content, mode="json"), indent=2))


def _end(outcome: "Outcome") -> None:
    """Prints how a flow ended; a wave in other hands and an empty queue are no failures."""
    match outcome.state:
        case "nothing":
            print("nothing to do: no request is pending")
        case "held":
            print(f"wave {outcome.number} is being run by {outcome.detail}; nothing to do here")
        case "waiting":
            print(f"wave {outcome.number} waits: {outcome.detail}")
        case "parked":
            raise AmunError(f"wave {outcome.number} is parked: {outcome.detail}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line."""
    app(args=None if arguments is None else list(arguments), prog_name="amun")


if __name__ == "__main__":
    main()
