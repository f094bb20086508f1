"""`amun doctor`: what is wrong with the workspace, and what mends it."""

from typing import Annotated

import typer

from flows.cli import shared


def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended without you.")] = False,
    as_json: shared.AsJson = False,
) -> None:
    """Say what is wrong with this workspace and what mends it; exit code 1 when anything is left."""
    from tasks.workspace.faults import find_faults, mend_faults

    workspace = shared.open_here()
    mended, left = mend_faults(workspace) if fix else ([], find_faults(workspace))
    shown = {
        "mended": [{"what": fault.what} for fault in mended],
        "found": [{"what": fault.what, "remedy": fault.remedy, "can_mend": fault.mend is not None} for fault in left],
    }
    shared.show(shown, as_json, _print)
    if left:
        raise typer.Exit(1)


def _print(shown: dict[str, list[dict[str, str]]]) -> None:
    for fault in shown["mended"]:
        print(f"mended: {fault['what']}")
    for fault in shown["found"]:
        by = "`amun doctor --fix`" if fault["can_mend"] else "by hand"
        print(f"found: {fault['what']}\n  to mend it ({by}): {fault['remedy']}")
    if not shown["found"]:
        print("nothing is wrong")
