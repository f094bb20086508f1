"""What the commands share: options, the workspace they are typed in, and how a result is shown.

Nothing heavy is imported before a command needs it: `--help` answers at once.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amun.core.counts import tell_count
from amun.core.errors import AmunError, InputError
from amun.core.log import has_begun

if TYPE_CHECKING:
    from amun.ledger import Ledger
    from flows.outcome import Outcome
    from flows.pages.listing import View
    from tasks.workspace.workspace import Workspace

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Columns = Annotated[
    str | None,
    typer.Option(metavar="NAME,...", help="Show these columns alone, whole, in this order.", show_default=False),
]
Limit = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Rows of a page; a table has 30.", show_default=False)
]
PageNumber = Annotated[int, typer.Option("--page", min=1, metavar="N", help="Which page; the latest rows are page 1.")]
IsAll = Annotated[bool, typer.Option("--all", help="All rows on one page.")]
Search = Annotated[str, typer.Option(metavar="TEXT", help="Only rows that hold this text.", show_default=False)]


def read_view(columns: str | None, limit: int | None, page: int, is_all: bool, search: str, *, as_json: bool) -> "View":
    """Returns what of a list is asked for; a program that asks for no page gets all of it.

    Raises:
        InputError: options that contradict each other.
    """
    from flows.pages.listing import PAGE, View

    if as_json and columns is not None:
        raise InputError("--columns: they are a table's; --json has them all")
    if is_all and (limit is not None or page > 1):
        raise InputError("--all: everything is one page; leave --limit and --page out")
    names = () if columns is None else tuple(name.strip() for name in columns.split(","))
    has_pages = not is_all and (not as_json or limit is not None or page > 1)
    return View(names, (limit or PAGE) if has_pages else None, page, search)


def open_here() -> "Workspace":
    """Returns the workspace in which the command was typed."""
    from tasks.workspace.workspace import open_workspace

    return open_workspace(Path.cwd())


def open_ledger() -> "Ledger":
    """Returns the ledger that the environment names."""
    from tasks.workspace.workspace import open_ledger as open_named

    return open_named()


def show(content: Any, as_json: bool, print_table: Callable[[Any], None]) -> None:
    """Prints a result, for a program or for a person."""
    if not as_json:
        print_table(content)
        return
    from pydantic import TypeAdapter

    print(json.dumps(TypeAdapter(Any).dump_python(content, mode="json"), indent=2))


def tell_outcome(outcome: "Outcome") -> None:
    """Prints how a flow ended where it has not said so; a wave in other hands and an empty queue are no failures.

    Raises:
        AmunError: the wave is parked.
    """
    if outcome.num_rejected:
        rejected = tell_count(outcome.num_rejected, "file")
        print(f"{rejected} of requests rejected: see rejected/ in the intake source")
    match outcome.state:
        case "nothing" if outcome.number is None:
            print("nothing to do: no request is pending")
        case "busy":
            print(f"wave {outcome.number} is being run by {outcome.detail}; nothing to do here")
        case "parked":
            told = "" if has_begun() else outcome.told
            raise AmunError(f"wave {outcome.number} is parked: {told or outcome.detail}")
