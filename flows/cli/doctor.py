"""`amun doctor`: what is wrong with the workspace, and what mends it."""

from dataclasses import dataclass
from typing import Annotated

import typer

from flows.cli import shared


@dataclass(frozen=True)
class Mended:
    """A fault that is gone: what it was."""

    what: str


@dataclass(frozen=True)
class Found:
    """A fault that is left: what it is, what mends it, and whether `--fix` does."""

    what: str
    remedy: str
    can_mend: bool


@dataclass(frozen=True)
class Report:
    """What was mended, what is left, and what is noted of the machine."""

    mended: list[Mended]
    found: list[Found]
    notes: list[str]


def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended without you.")] = False,
    as_json: shared.AsJson = False,
) -> None:
    """Say what is wrong with this workspace and what mends it; exit code 1 when anything is left."""
    from tasks.workspace.faults import find_faults, mend_faults
    from tasks.workspace.machine_notes import list_notes

    workspace = shared.open_here()
    mended, left = mend_faults(workspace) if fix else ([], find_faults(workspace))
    found = [Found(fault.what, fault.remedy, fault.mend is not None) for fault in left]
    shared.show(Report([Mended(fault.what) for fault in mended], found, list_notes(workspace)), as_json, print_report)
    if left:
        raise typer.Exit(1)


def print_report(shown: Report) -> None:
    """Prints what was mended, what is left, and what is noted of the machine."""
    for gone in shown.mended:
        print(f"mended: {gone.what}")
    for fault in shown.found:
        by = "`amun doctor --fix`" if fault.can_mend else "by hand"
        print(f"found: {fault.what}\n  to mend it ({by}): {fault.remedy}")
    if not shown.found:
        print("nothing is wrong")
    for note in shown.notes:
        print(f"note: {note}")
