"""What people read of what lies in clear, and of its destruction: a line for each place."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from amun.core.counts import tell_count
from flows.pages.layout import tell_waves

if TYPE_CHECKING:
    from tasks.workspace.clear_copies import ClearCopies
    from tasks.workspace.clearing import Cleared


def print_found(found: "ClearCopies", lost: Sequence[int]) -> None:
    """Prints what would be destroyed, and what can no longer be done then."""
    for line in _tell_places(found):
        print(f"in clear: {line}")
    if found.is_empty:
        print("nothing lies in clear")
    _print_doubts(found)
    if lost:
        print(
            f"{tell_waves(lost)} could no longer be reproduced, compared or rolled back to; figures, lineage and "
            "receipts stay"
        )


def print_cleared(done: "Cleared") -> None:
    """Prints what was destroyed where, and what is left."""
    left = done.after.count()
    for line in _tell_places(done.before):
        print(f"destroyed: {line}")
    for copy in done.copies:
        print(f"destroyed: MLflow: {copy}, which was a copy of one of these")
    if done.before.is_empty and done.is_finished:
        print("nothing lies in clear")
    for line in done.failed:
        print(f"not destroyed: {line}")
    for name, count in left.items():
        print(f"still in clear: {name}: {tell_count(count, 'file')}; type this again")
    _print_doubts(done.after)


def _tell_places(found: "ClearCopies") -> list[str]:
    told = [f"{name}: {tell_count(count, 'file')}" for name, count in found.count().items()]
    if found.versions:
        numbers = ", ".join(map(str, found.versions))
        told.append(f"MLflow: the weights of version{'s' * (len(found.versions) > 1)} {numbers}")
    if found.left:
        told.append(f"MLflow: {tell_count(len(found.left), 'file')} of weights of no version any more")
    return told


def _print_doubts(found: "ClearCopies") -> None:
    for line in found.unread:
        print(f"not looked into: {line}")
    if found.unknown:
        print(f"warning: {found.unknown}")
