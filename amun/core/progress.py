"""Progress of a long step: a bar on a terminal, a few plain lines in a log, a small file for whoever started it."""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from amun.core.files import replace_file

LINE_SECONDS = 10.0
FILE_SECONDS = 1.0
PROGRESS_FILE_VARIABLE = "AMUN_STAGE_PROGRESS"


class Advance(Protocol):
    """Tells that one more unit is done, and what there is to say of it."""

    def __call__(self, note: str = "") -> None:
        """Advances by one unit."""
        ...


@dataclass(frozen=True)
class Progress:
    """How far a step of `total` units has come."""

    name: str
    done: int
    total: int
    unit: str
    note: str

    def write(self, path: Path) -> None:
        """Writes it as JSON, in one piece: somebody reads it at any moment."""
        with replace_file(path) as unfinished:
            unfinished.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Progress | None":
        """Returns what was written last; None where nothing was."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None


@contextmanager
def show_progress(name: str, total: int, unit: str) -> Iterator[Advance]:
    """Shows how far a step of `total` units has come; the block gets the function that advances it."""
    shown = _show_bar(name, total, unit) if sys.stdout.isatty() else _show_lines(name, total, unit)
    with shown as show, _write_file(name, total, unit) as write:

        def advance(note: str = "") -> None:
            show(note)
            write(note)

        yield advance


@contextmanager
def _show_bar(name: str, total: int, unit: str) -> Iterator[Advance]:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("  {task.description:<12}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn(unit + "  {task.fields[note]}"),
        TimeElapsedColumn(),
    )
    with Bar(*columns) as progress:
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


@contextmanager
def _write_file(name: str, total: int, unit: str) -> Iterator[Advance]:
    """Keeps the file that the environment names up to date, at most once a second."""
    path, done, written_at = os.environ.get(PROGRESS_FILE_VARIABLE), 0, -FILE_SECONDS

    def advance(note: str = "") -> None:
        nonlocal done, written_at
        done += 1
        now = time.monotonic()
        if path is not None and (done == total or now - written_at >= FILE_SECONDS):
            written_at = now
            Progress(name, done, total, unit, note).write(Path(path))

    yield advance
