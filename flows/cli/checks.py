"""`amun check`: what is wrong with the settings, before anything is begun; the other commands ask it first."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from amun.core.errors import AmunError, InputError
from flows.cli import shared

if TYPE_CHECKING:
    from flows.findings import Finding
    from tasks.workspace.workspace import Workspace


def check(as_json: shared.AsJson = False) -> None:
    """Judge settings, servers, source and model, before anything is begun; exit code 0 when a night can run."""
    from flows.findings import find_all
    from tasks.workspace.workspace import open_clone

    clone = open_clone(Path.cwd())
    found = find_all(clone)
    shared.show(found, as_json, lambda findings: _print_findings(clone, findings))
    if exit_code := max((finding.exit_code for finding in found), default=0):
        raise typer.Exit(exit_code)


def require_sound(clone: "Workspace") -> None:
    """Tells on stderr what `amun check` finds in the settings.

    Raises:
        InputError, AmunError: the last of what stops.
    """
    from flows.findings import SETTINGS, find_all
    from tasks.workspace.workspace import require_params

    require_params(clone.root)
    found = find_all(clone, SETTINGS)
    stopping = [finding for finding in found if finding.stops]
    for finding in [*(one for one in found if not one.stops), *stopping[:-1]]:
        print(f"amun: {'' if finding.stops else 'note: '}{finding.line}", file=sys.stderr)
    if stopping:
        raise (InputError if stopping[-1].exit_code == InputError.exit_code else AmunError)(stopping[-1].line)


def _print_findings(clone: "Workspace", found: "list[Finding]") -> None:
    for finding in found:
        print(f"{'stops' if finding.stops else 'fails' if finding.exit_code else 'note'}: {finding.line}")
    if not any(finding.stops for finding in found):
        from datetime import UTC, datetime

        from tasks.tools.schedule import describe_next_runs

        print(describe_next_runs(clone.params.schedule, datetime.now(UTC)))
