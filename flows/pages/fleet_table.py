"""What people read of all models of a ledger."""

from collections.abc import Sequence

from amun.ledger import ModelStanding
from flows.pages.layout import day
from flows.pages.table import Column, Table, print_table


def print_standings(standings: Sequence[ModelStanding]) -> None:
    """Prints a row for each model."""
    table = Table(
        Column("model"),
        Column("last-wave", 2, title="last wave"),
        Column("open", 3, title="open wave"),
        Column("pending"),
        Column("behind", 1),
        Column("next-due", 1, title="next due"),
        Column("overdue"),
        Column("to-erase", 2, title="to erase"),
        Column("erase-overdue", 2, title="late"),
    )
    for one in standings:
        table.add_row(*_tell_cells(one))
    print_table(table)


def _tell_cells(one: ModelStanding) -> list[str]:
    status, closed_at = one.status, one.last_closed_at
    return [
        one.model,
        "" if closed_at is None else f"{one.last_wave}, {one.last_state} {day(closed_at)}",
        "" if status.open_wave is None else str(status.open_wave.number),
        str(status.pending),
        str(one.num_behind),
        "" if status.next_due is None else day(status.next_due),
        str(status.overdue),
        str(status.to_erase),
        str(status.erase_overdue),
    ]
