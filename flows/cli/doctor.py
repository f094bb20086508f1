"""`amun doctor`: what is wrong with the workspace, and what mends it."""

from typing import Annotated, Any

import typer

from flows.cli import shared


def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended without you.")] = False,
    as_json: shared.AsJson = False,
) -> None:
    """Say what is wrong with this workspace and what mends it; exit code 1 when anything is left."""
    from tasks.workspace.faults import find_faults, mend_faults
    from tasks.workspace.machine_notes import list_notes

    workspace = shared.open_here()
    mended, left = mend_faults(workspace) if fix else ([], find_faults(workspace))
    shown = {
        "mended": [{"what": fault.what} for fault in mended],
        "found": [{"what": fault.what, "remedy": fault.remedy, "can_mend": fault.mend is not None} for fault in left],
        "notes": list_notes(workspace),
    }
    shared.show(shown, as_json, print_report)
    if left:
        raise typer.Exit(1)


def print_report(shown: dict[str, Any]) -> None:
    """Prints what was mended, what is left, and what is noted of the machine."""
    for fault in shown["mended"]:
        print(f"mended: {fault['what']}")
    for fault in shown["found"]:
        by = "`amun doctor --fix`" if fault["can_mend"] else "by hand"
        print(f"found: {fault['what']}\n  to mend it ({by}): {fault['remedy']}")
    if not shown["found"]:
        print("nothing is wrong")
    for note in shown["notes"]:
        print(f"note: {note}")
