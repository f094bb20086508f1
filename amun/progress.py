"""Progress of a long step: a bar on a terminal, a few plain lines in a log."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

LINE_SECONDS = 10.0


class Advance(Protocol):
    """Tells that one more unit is done, and what there is to say of it."""

    def __call__(self, note: str = "") -> None:
        """Advances by one unit."""
        ...


@contextmanager
def show_progress(name: str, total: int, unit: str) -> Iterator[Advance]:
    """Shows how far a step of `total` units has come; the block gets the function that advances it."""
    shown = _show_bar(name, total, unit) if sys.stdout.isatty() else _show_lines(name, total, unit)
    with shown as advance:
        yield advance


@contextmanager
def _show_bar(name: str, total: int, unit: str) -> Iterator[Advance]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("  {task.description:<12}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn(unit + "  {task.fields[note]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns) as progress:
        task = progress.add_task(name, total=total, note="")
        yield lambda note="": progress.update(task, advance=1, note=note)


@contextmanager
def _show_lines(name: str, total: int, unit: str) -> Iterator[Advance]:
    done, said_at = 0, time.monotonic()

    def advance(note: str = "") -> None:
        nonlocal done, said_at
        done += 1
        if done == total or time.monotonic() - said_at > LINE_SECONDS:
            said_at = time.monotonic()
            print(f"  {name:<12} {done}/{total} {unit}  {note}".rstrip(), flush=True)

    yield advance
