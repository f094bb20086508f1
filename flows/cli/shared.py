"""What the commands share: options, the workspace they are typed in, and how a result is shown.

Nothing heavy is imported before a command needs it: `--help` answers at once.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amun.core.errors import AmunError

if TYPE_CHECKING:
    from amun.ledger import Ledger
    from flows.outcome import Outcome
    from tasks.workspace.workspace import Workspace

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


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
    """Prints how a flow ended; a wave in other hands and an empty queue are no failures.

    Raises:
        AmunError: the wave is parked.
    """
    if outcome.num_rejected:
        print(f"{outcome.num_rejected} files of requests were rejected: see rejected/ in the intake source")
    match outcome.state:
        case "nothing":
            print("nothing to do: no request is pending")
        case "held":
            print(f"wave {outcome.number} is being run by {outcome.detail}; nothing to do here")
        case "waiting":
            print(f"wave {outcome.number} waits: {outcome.detail}")
        case "parked":
            raise AmunError(f"wave {outcome.number} is parked: {outcome.detail}")
