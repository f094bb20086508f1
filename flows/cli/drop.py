"""`amun request from-drop`: a list of California's DROP becomes requests, and later its answers."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from amun.core.errors import InputError
from flows.cli import shared

Content = TypeVar("Content")


def take_list(
    deletion_list: Annotated[Path, typer.Argument(metavar="LIST", help="A consumer deletion list of DROP: ID,Hash.")],
    table: Annotated[
        Path,
        typer.Option(
            "--match", metavar="FILE", help="CSV: subject_id and hash, email or phone of each.", show_default=False
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the answers that can be given to a new file.", show_default=False),
    ] = None,
    confirm_many: Annotated[
        bool, typer.Option("--confirm-many", help="It is right that a large part of all people is to be forgotten.")
    ] = False,
) -> None:
    """Record a request for each person on a list of DROP, and write which work items are done: 3 deleted, 5 not found.

    Type it again once the nights have run: nobody is asked for twice.
    """
    from datetime import UTC, datetime

    from amun.core.counts import tell_count
    from amun.ledger import Demand
    from amun.ledger.drop import MAX_HELD_SHARE, REFERENCE, answer_list, read_list, read_table
    from amun.ledger.intake import ManyHeldError
    from tasks.tools.new_file import require_free, write_private

    workspace = shared.open_here()
    if out is not None:
        require_free("--out", out, workspace.root, "tells what became of people")
    items, owners = _read(deletion_list, read_list), _read(table, read_table)
    with shared.open_ledger() as ledger:
        answers = answer_list(items, owners, ledger.requests_of_subject, ledger.list_holders)
        approvals = workspace.params.intake.approvals
        demands = [
            Demand(person, reference=f"{REFERENCE}{item}", law="ccpa", num_approvals=approvals)
            for person, item in answers.wanted.items()
        ]
        if demands:
            max_share = None if confirm_many else MAX_HELD_SHARE
            try:
                # whoever is in the table and in no model is nobody's to look for here
                ledger.add_demands(demands, now=datetime.now(UTC), confirm_unknown=True, max_held_share=max_share)
            except ManyHeldError as error:
                raise InputError(
                    f"{deletion_list}: {error}, more than a quarter; look whether {table} is the right table, and say "
                    "--confirm-many where it is; nothing was recorded"
                ) from None
            answers = answer_list(items, owners, ledger.requests_of_subject, ledger.list_holders)
    if out is not None:
        with write_private("--out", out) as unfinished:
            unfinished.write_text(answers.write_response(), encoding="ascii")
    print(f"{tell_count(len(items), 'work item')}: {tell_count(len(demands), 'new request')}")
    print(f"answered: {len(answers.statuses)}{'' if out is None else f', in {out}'}")
    for reason, number in answers.left.items():
        print(f"left: {number} {reason}")


def _read(path: Path, read: Callable[[bytes], Content]) -> Content:
    try:
        return read(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except InputError as error:
        raise InputError(f"{path}: {error}; nothing was recorded") from None
