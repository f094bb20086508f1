"""What people read of the consumers of a model."""

from collections.abc import Sequence

from amun.ledger import Consumer
from flows.pages.layout import moment, text
from flows.pages.listing import View, choose_page, print_page
from flows.pages.table import Column, Table


def choose_consumers(consumers: Sequence[Consumer], view: View) -> tuple[Sequence[Consumer], int]:
    """Returns the page of consumers that is asked for, and how many all pages have; raises as `choose_page`."""
    return choose_page(consumers, view, _tell_cells)


def print_list(consumers: Sequence[Consumer], view: View, num_consumers: int) -> None:
    """Prints the page of consumers that is asked for."""
    table = Table(
        Column("consumer"),
        Column("version"),
        Column("since", 3),
        Column("seen", 2),
        Column("added", 4),
        Column("awaited", 1),
        Column("held-up", 1, title="held up"),
        Column("remembered", 1),
    )
    for one in consumers:
        table.add_row(*_tell_cells(one))
    print_page(table, view, num_consumers, "consumer")


def _tell_cells(one: Consumer) -> list[str]:
    return [
        one.name,
        text(one.version),
        *("" if at is None else moment(at) for at in (one.serves_since, one.seen_at, one.added_at)),
        *(str(number) for number in (one.num_awaited, one.num_held_up, one.num_remembered)),
    ]
