"""`amun doctor`: what is wrong with the workspace, and what mends it."""

from dataclasses import dataclass
from typing import Annotated

import typer

from flows.cli import shared

PAGE = "docs/operations.md"


@dataclass(frozen=True)
class Mended:
    """A fault that is gone: what it was, and what it was about."""

    what: str
    about: str


@dataclass(frozen=True)
class Found:
    """A fault that is left: what it is, what mends it, whether `--fix` does, and its section on the page."""

    what: str
    remedy: str
    can_mend: bool
    about: str


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
    workspace = shared.open_here()
    # not before: what imports Prefect or MLflow finds the variables that a workspace has set
    from flows.doctor import CHECKS, tell_notes
    from tasks.workspace.faults import find_faults, mend_faults

    mended, left = mend_faults(workspace, CHECKS) if fix else ([], find_faults(workspace, CHECKS))
    found = [Found(fault.what, fault.remedy, fault.mend is not None, fault.about) for fault in left]
    gone = [Mended(fault.what, fault.about) for fault in mended]
    shared.show(Report(gone, found, tell_notes(workspace)), as_json, print_report)
    if left:
        raise typer.Exit(1)


def print_report(shown: Report) -> None:
    """Prints what was mended, what is left, and what is noted of the machine."""
    for gone in shown.mended:
        print(f"mended: {gone.what}")
    for fault in shown.found:
        by = "`amun doctor --fix`" if fault.can_mend else "by hand"
        print(f"found: {fault.what}\n  to mend it ({by}): {fault.remedy} ({PAGE}#{fault.about})")
    if not shown.found:
        print("nothing is wrong")
    for note in shown.notes:
        print(f"note: {note}")
