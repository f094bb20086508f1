"""What is wrong with a workspace: each finding with its remedy, and what mends it where that can be done by itself.

A check is a function that looks at one thing and changes nothing; `CHECKS` lists them all.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from amun.core.errors import InputError
from tasks.workspace.strays import find_strays, remove_strays
from tasks.workspace.workspace import Workspace, open_ledger


@dataclass(frozen=True)
class Finding:
    """Something that is wrong.

    Attributes:
        what: in one line.
        remedy: what mends it, in words that follow "to mend it".
        mend: does that; None where a person has to.
    """

    what: str
    remedy: str
    mend: Callable[[], None] | None = None


def find_faults(workspace: Workspace) -> list[Finding]:
    """Returns what is wrong with a workspace, checked in the order of `CHECKS`."""
    return [finding for check in CHECKS for finding in check(workspace)]


def require_idle(workspace: Workspace) -> None:
    """Refuses to mend what a run is at work on.

    Raises:
        InputError: who is.
    """
    with open_ledger() as ledger:
        wave = ledger.peek_wave(workspace.model, datetime.now(UTC))
    if wave is not None and not wave.is_abandoned:
        raise InputError(f"wave {wave.number} is being run by {wave.holder}; mend when it has ended")


def _check_branch(workspace: Workspace) -> Iterator[Finding]:
    """Looks for files and tags of waves in commits that the pipeline has not made."""
    with open_ledger() as ledger:
        strays = find_strays(workspace.root, workspace.model, ledger)
    if strays:
        yield Finding(
            strays.describe(),
            "bring back what was recorded, in a commit of its own; the next wave does so too",
            lambda: remove_strays(workspace.root, strays),
        )


CHECKS: tuple[Callable[[Workspace], Iterator[Finding]], ...] = (_check_branch,)
