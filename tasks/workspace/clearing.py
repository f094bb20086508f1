"""Destroys what a workspace has in clear from before its base was sealed.

The ledger has the intent first, by the waves that were made from these files: from then on nobody runs one of them
again. The files are found by what they are, so a killed call is ended by saying it again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from amun.core.errors import AmunError
from tasks.tools.content_places import ContentPlace
from tasks.workspace.clear_copies import ClearCopies, look_through
from tasks.workspace.traces import erase_traces
from tasks.workspace.workspace import Workspace, hold_stages, open_ledger

if TYPE_CHECKING:
    from tasks.tools.registry_left import LeftFile


@dataclass(frozen=True)
class Cleared:
    """What a call has destroyed.

    Attributes:
        before: what lay in clear.
        after: what is left of it.
        copies: versions of other models in MLflow that were copies of the versions, and went with them.
        failed: a line for each thing that could not be removed.
    """

    before: ClearCopies
    after: ClearCopies
    copies: tuple[str, ...]
    failed: tuple[str, ...]

    @property
    def is_finished(self) -> bool:
        """Tells whether nothing is left, and all places could be looked into."""
        return self.after.is_empty and not self.after.unread and not self.failed


def list_lost_waves(workspace: Workspace, found: ClearCopies) -> list[int]:
    """Returns the waves that nobody has given up yet, and that can no longer be run again once this is gone."""
    if found.is_empty:
        return []
    with open_ledger() as ledger:
        return sorted(set(found.waves) - set(ledger.list_cleared(workspace.model)))


def destroy_clear_copies(workspace: Workspace) -> Cleared:
    """Destroys what lies in clear, in every place, and looks whether anything is left; said again it goes on.

    Raises:
        InputError, AmunError: as `find_clear_copies`; or a stage is running here.
    """
    with hold_stages(workspace), open_ledger() as ledger:
        waves = ledger.list_waves(workspace.model)
        before = look_through(workspace, waves)
        ledger.begin_clearing(workspace.model, before.waves, datetime.now(UTC))
        copies = _erase_versions(workspace.model, before.versions, before.left)
        failed = [*_remove_contents(before.held), *_remove_files(before.files)]
        erase_traces(workspace.root)
        after = look_through(workspace, waves)
        done = Cleared(before, after, copies, tuple(failed))
        if done.is_finished:
            ledger.finish_clearing(workspace.model, datetime.now(UTC))
    return done


def _erase_versions(model: str, versions: Sequence[int], left: Sequence["LeftFile"]) -> tuple[str, ...]:
    if not (versions or left):
        return ()
    # only here: MLflow takes a second to import
    from tasks.workspace.left_weights import erase_registered

    return erase_registered(model, versions, left)


def _remove_contents(held: Sequence[tuple[ContentPlace, Sequence[str]]]) -> Iterator[str]:
    """Removes contents, place after place; yields a line for each that a place keeps, and goes on."""
    for place, digests in held:
        for digest in digests:
            try:
                place.remove(digest)
            except AmunError as error:
                yield f"{place.name}: {digest}: {error}"


def _remove_files(files: Sequence[Path]) -> list[str]:
    """Removes files; returns a line for each that stays."""
    failed = []
    for path in files:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            failed.append(f"{path}: {error.strerror}; see that it can be removed")
    return failed
