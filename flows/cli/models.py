"""`amun model`: the versions of the model and their lineage."""

from pathlib import Path
from typing import Annotated

import typer

from amun.core.errors import InputError
from flows.cli import shared

app = typer.Typer(help="Versions of the model.", no_args_is_help=True)

_HELP = "Number of a version, as `amun model list` shows it."
VersionNumber = Annotated[int, typer.Argument(metavar="VERSION", min=1, help=_HELP)]
Before = Annotated[int, typer.Argument(metavar="BEFORE", min=1, help=_HELP)]
After = Annotated[int, typer.Argument(metavar="AFTER", min=1, help=_HELP)]


@app.command("list")
def list_models(
    columns: shared.Columns = None,
    limit: shared.Limit = None,
    page: shared.PageNumber = 1,
    is_all: shared.IsAll = False,
    search: shared.Search = "",
    as_json: shared.AsJson = False,
) -> None:
    """Show the lineage: every version, what it was made from, and how many people it has forgotten."""
    from flows.pages import model_tables
    from tasks.views.lineage import list_versions

    view = shared.read_view(columns, limit, page, is_all, search, as_json=as_json)
    workspace = shared.open_here()
    versions, num_versions = model_tables.choose_versions(list_versions(workspace), view)
    shared.show(
        versions, as_json, lambda listed: model_tables.print_lineage(workspace.model, listed, view, num_versions)
    )


@app.command("show")
def show_model(version: VersionNumber, as_json: shared.AsJson = False) -> None:
    """Show one version in full: how it was made, what the gate said, its parameters, data and files."""
    from flows.pages.model_tables import print_version
    from tasks.views.version_details import describe_version

    shared.show(describe_version(shared.open_here(), version), as_json, print_version)


@app.command("weights")
def write_weights(
    version: VersionNumber,
    target: Annotated[Path, typer.Option("--to", metavar="FILE", help="A new safetensors file, outside git.")],
) -> None:
    """Write a version's weights in clear: in MLflow and DVC they lie sealed, for they have learned people."""
    from tasks.workspace.weights import write_plain

    write_plain(shared.open_here(), version, target)
    print(f"version {version}: the weights are in {target}, in clear; keep them as you keep data")


@app.command("diff")
def diff_models(before: Before, after: After, as_json: shared.AsJson = False) -> None:
    """Show what changed between two versions: people forgotten, figures, parameters, data and code."""
    from flows.pages.model_tables import print_difference
    from tasks.views.version_diff import compare_versions

    shared.show(compare_versions(shared.open_here(), before, after), as_json, print_difference)


@app.command("rollback")
def roll_back(
    version: VersionNumber,
    reason: Annotated[
        str | None, typer.Option(help="Why, for ledger and MLflow; name nobody in it.", show_default=False)
    ] = None,
    accept_remembering: Annotated[
        bool, typer.Option("--accept-remembering", help="Do it, although people are remembered until the next wave.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what a rollback would do, and change nothing.")
    ] = False,
) -> None:
    """Make an earlier version the champion again, and forget anew, at once, whom it still remembers."""
    from flows import preview, running

    if dry_run:
        print(preview.describe_rollback(shared.open_here(), version))
        return
    if reason is None:
        raise InputError("--reason: say why the model goes back, or see with --dry-run what that would do")
    shared.tell_outcome(running.roll_back(shared.open_here(), version, reason, accept_remembering=accept_remembering))
