"""Tables on the screen: keys are always shown whole; where there is no room for all columns, the others give way."""

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

from amun.core.errors import InputError

GAP = "  "
MIN_TEXT = 24  # letters that are left of a reason before another column gives way for it
CUT = "…"
BOLD, PLAIN = "\033[1m", "\033[0m"


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: as `--columns` takes it.
        gives_way: 0 for a key, which never does; of the others the highest goes first, and of equals the rightmost.
        group: stands once above neighbours that share it.
        title: stands above the cells; None is the name.
        is_text: free text, which is shortened before another column gives way; never a key.
    """

    name: str
    gives_way: int = 0
    group: str = ""
    title: str | None = None
    is_text: bool = False

    @property
    def head(self) -> str:
        """What stands above its cells."""
        return self.name if self.title is None else self.title


class Table:
    """Columns, and rows of cells that are one line each."""

    def __init__(self, *columns: Column) -> None:
        self.columns = columns
        self.rows: list[tuple[str, ...]] = []

    def add_row(self, *cells: str) -> None:
        """Adds a row, one cell for each column."""
        self.rows.append(cells)


def new_table(*names: str) -> Table:
    """Returns an empty table whose first column is its key; the others give way from the right."""
    return Table(*(Column(name, gives_way=int(number > 0)) for number, name in enumerate(names)))


def print_table(table: Table, chosen: Sequence[str] = (), advice: str = "a wider terminal shows all") -> None:
    """Prints a table as wide as the terminal; a file or a pipe gets all of it.

    Args:
        table: what to print.
        chosen: names of the columns to show, in this order and however wide they are; empty for as many as fit.
        advice: what to do about columns that found no room.

    Raises:
        InputError: it has no column of a chosen name.
    """
    cells = [[row[place] for row in table.rows] for place in range(len(table.columns))]
    natural = [max(map(cell_len, [column.head, *each])) for column, each in zip(table.columns, cells, strict=True)]
    # whoever chooses columns gets them whole
    width = None if chosen else _measure_room()
    places = _find_columns(table.columns, chosen) if chosen else _fit(table.columns, natural, width)
    shown = [table.columns[place] for place in places]
    widths = _widen(shown, [natural[place] for place in places], width)
    for line in _make_heads(shown, widths):
        print(f"{BOLD}{line}{PLAIN}" if is_terminal() and "NO_COLOR" not in os.environ else line)
    for row in zip(*(cells[place] for place in places), strict=True):
        print(_join(row, widths))
    left_out = [column.name for place, column in enumerate(table.columns) if place not in places]
    if left_out and not chosen:
        print(f"no room for {', '.join(left_out)}: {advice}")


def is_terminal() -> bool:
    """Returns whether somebody looks at what is printed."""
    return sys.stdout.isatty()


def _measure_room() -> int | None:
    """Returns how many letters a line may have; None where any number may stand."""
    # COLUMNS alone says nothing: a parent that has loaded readline leaves it in the environment, pipe or not
    return shutil.get_terminal_size().columns if is_terminal() else None


def _find_columns(columns: Sequence[Column], chosen: Sequence[str]) -> list[int]:
    names = [column.name for column in columns]
    if unknown := [name for name in chosen if name not in names]:
        raise InputError(f"--columns: there is no column {unknown[0]!r}; there are {','.join(names)}")
    return [names.index(name) for name in chosen]


def _fit(columns: Sequence[Column], natural: Sequence[int], width: int | None) -> list[int]:
    """Returns the places of the columns that fit, keys among them whether they do or not."""
    places = list(range(len(columns)))
    optional = sorted((place for place in places if columns[place].gives_way), key=lambda p: (columns[p].gives_way, p))
    while width is not None and optional:
        shown = [columns[place] for place in places]
        if sum(_measure(shown, [natural[place] for place in places])) + len(GAP) * (len(shown) - 1) <= width:
            break
        places.remove(optional.pop())
    return places


def _measure(shown: Sequence[Column], natural: Sequence[int]) -> list[int]:
    """Returns the least width of each column: free text is shortened, a group's name stands above its first."""
    groups = _list_groups(shown)
    return [
        max(cell_len(group), min(width, MIN_TEXT) if column.is_text else width)
        for column, width, group in zip(shown, natural, groups, strict=True)
    ]


def _widen(shown: Sequence[Column], natural: Sequence[int], width: int | None) -> list[int]:
    """Returns the width of each column; what room is left goes to free text."""
    least = _measure(shown, natural)
    left = None if width is None else width - sum(least) - len(GAP) * (len(shown) - 1)
    widths = []
    for column, has, needs in zip(shown, least, natural, strict=True):
        more = needs - has if column.is_text and needs > has else 0
        if left is not None:
            more = min(more, max(left, 0))
            left -= more
        widths.append(has + more)
    return widths


def _list_groups(shown: Sequence[Column]) -> list[str]:
    before = ["", *(column.group for column in shown)]
    return [column.group if column.group != last else "" for column, last in zip(shown, before, strict=False)]


def _make_heads(shown: Sequence[Column], widths: Sequence[int]) -> list[str]:
    groups, titles = _list_groups(shown), [column.head for column in shown]
    return [_join(heads, widths) for heads in (groups, titles) if any(heads)]


def _join(cells: Sequence[str], widths: Sequence[int]) -> str:
    return GAP.join(_pad(cell, width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _pad(cell: str, width: int) -> str:
    if cell.isascii() and len(cell) <= width:
        return cell.ljust(width)
    size = cell_len(cell)
    return cell + " " * (width - size) if size <= width else set_cell_size(cell, width - 1) + CUT
