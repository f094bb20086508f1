"""How tables and figures look on the screen, whatever they are about."""

from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

TOO_FEW = "too few"
NO_REFERENCES = "no references"
NOT_MEASURED = "not measured"  # too few, or no references
MIN_WIDTH = 170  # without a terminal rich assumes 80 columns; a log may be wider


def new_table(*columns: str) -> Table:
    """Returns an empty table with these columns."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def print_table(table: Table) -> None:
    """Prints a table as wide as the terminal, or as a log may be."""
    console = Console()
    Console(width=max(console.width, MIN_WIDTH) if not console.is_terminal else None).print(table)


def print_facts(facts: dict[str, Any]) -> None:
    """Prints what is known of a thing, one fact a line; what is unknown is left out."""
    width = max([30, *map(len, facts)])
    for name, value in facts.items():
        if value is not None:
            print(f"  {name:<{width}} {text(value)}")


def percent(value: float | None) -> str:
    """Returns a share, `91.3%`."""
    return "" if value is None else f"{value:.1%}"


def auc(value: float | None, missing: str) -> str:
    """Returns an FT AUC or a trace, or what to say where it is missing."""
    return missing if value is None else f"{value:.3f}"


def day(moment: datetime) -> str:
    """Returns a date, `2026-01-31`."""
    return f"{moment:%Y-%m-%d}"


def moment(at: datetime) -> str:
    """Returns a time, `2026-01-31 09:00 UTC`."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def text(value: Any) -> str:
    """Returns a value as a cell shows it; nothing is an empty one."""
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
