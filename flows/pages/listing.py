"""What of a long list a person asks for: a page of it, what holds a text, some of its columns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from amun.core.counts import tell_count
from amun.core.errors import InputError
from flows.pages.table import Table, print_table

Item = TypeVar("Item")

PAGE = 30  # rows


@dataclass(frozen=True)
class View:
    """What is asked for.

    Attributes:
        columns: their names; empty for as many as there is room for.
        limit: rows of a page; None is all of them.
        page: which one, counted from the latest.
        search: a text that a row holds, in whatever case; empty for every row.
    """

    columns: tuple[str, ...] = ()
    limit: int | None = PAGE
    page: int = 1
    search: str = ""

    @property
    def num_later(self) -> int:
        """How many rows are later than those of the page."""
        return (self.page - 1) * (self.limit or 0)

    def require_page(self, num_rows: int) -> None:
        """Refuses a page behind the last one.

        Raises:
            InputError: it is.
        """
        if self.page > 1 and self.num_later >= num_rows:
            num_pages = max(1, -(-num_rows // (self.limit or 1)))
            raise InputError(f"--page {self.page}: the list ends with page {num_pages}")

    def count_earlier(self, num_rows: int) -> int:
        """Returns how many rows are earlier than those of the page."""
        return 0 if self.limit is None else max(0, num_rows - self.page * self.limit)


EVERYTHING = View(limit=None)


def choose_page(
    items: Sequence[Item], view: View, tell_cells: Callable[[Item], Sequence[str]]
) -> tuple[Sequence[Item], int]:
    """Returns the page that is asked for, and how many items all its pages have.

    Args:
        items: all of them, the latest last.
        view: what is asked for.
        tell_cells: returns what a row says of an item.

    Raises:
        InputError: the list ends before that page.
    """
    wanted = view.search.casefold()
    found = [item for item in items if not wanted or any(wanted in cell.casefold() for cell in tell_cells(item))]
    view.require_page(len(found))
    return found[view.count_earlier(len(found)) : len(found) - view.num_later], len(found)


def print_page(table: Table, view: View, num_rows: int, what: str) -> None:
    """Prints the page, and how to see what is not on it.

    Args:
        table: of the page's rows.
        view: what is asked for.
        num_rows: of all pages.
        what: the command prints, in the singular.
    """
    print_table(table, view.columns, "`--columns` chooses, a wider terminal shows all")
    if earlier := view.count_earlier(num_rows):
        rest = tell_count(earlier, f"earlier {what}")
        print(f"{rest}: `--page {view.page + 1}` goes on there, `--all` shows all")
    if view.search and not num_rows:
        print(f"no row holds {view.search!r}")
