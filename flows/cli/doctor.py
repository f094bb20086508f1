"""`amun doctor`: what is wrong with the workspace, and what mends it."""

from typing import Annotated

import typer

from flows.cli import shared


def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended without you.")] = False,
    as_json: shared.AsJson = False,
) -> None:
    """Say what is wrong with this workspace and what mends it; exit code 1 when anything is left."""
    from tasks.workspace.findings import find_faults, mend_faults

    workspace = shared.open_here()
    mended, left = mend_faults(workspace) if fix else ([], find_faults(workspace))
    shown = {
        "mended": [{"what": finding.what} for finding in mended],
        "found": [
            {"what": finding.what, "remedy": finding.remedy, "can_mend": finding.mend is not None} for finding in left
        ],
    }
    shared.show(shown, as_json, _print)
    if left:
        raise typer.Exit(1)


def _print(shown: dict[str, list[dict[str, str]]]) -> None:
    for finding in shown["mended"]:
        print(f"mended: {finding['what']}")
    for finding in shown["found"]:
        by = "`amun doctor --fix`" if finding["can_mend"] else "by hand"
        print(f"found: {finding['what']}\n  to mend it ({by}): {finding['remedy']}")
    if not shown["found"]:
        print("nothing is wrong")
