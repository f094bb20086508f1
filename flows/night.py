"""The end of a night, however it went: whoever is due is erased, what DVC keeps is scrubbed, and people are told."""

from collections.abc import Callable
from datetime import UTC, datetime

from tasks.workspace.erasing import erase_due
from tasks.workspace.workspace import Workspace


def close_night(
    workspace: Workspace, tell: Callable[[str], None], *, has_failed: bool, is_parked: bool = False
) -> None:
    """Erases whoever is due, records how the night has ended, and tells it; nothing of it fails the night.

    Args:
        workspace: whose night it was.
        tell: says a line.
        has_failed: it ended with an error. Whoever was forgotten before does not wait for a night that succeeds.
        is_parked: the error is that its wave is parked.
    """
    # a command that is refused imports no channel
    from tasks.workspace.alerting import end_night
    from tasks.workspace.callbacks import send_callbacks
    from tasks.workspace.scrubbing import list_lines, scrub_tonight

    due_at = datetime.now(UTC)
    for line in erase_due(workspace):
        tell(line)
    for line in send_callbacks():
        tell(line)
    # what has failed may be a place that does not answer: nobody waits for it once more
    scrubbed = None if has_failed else scrub_tonight(workspace, due_at)
    for line in list_lines(scrubbed):
        tell(line)
    for line in end_night(workspace, has_failed=has_failed, is_parked=is_parked, due_at=due_at, scrubbed=scrubbed):
        tell(line)
