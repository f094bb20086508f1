"""How requests that wait in the intake source come into a night."""

from dataclasses import dataclass, field, replace

from amun.core.counts import tell_count
from amun.core.errors import AmunError
from flows.outcome import Outcome
from tasks.steps.intake import Intake, take_requests
from tasks.tools.story import tell
from tasks.workspace.workspace import Workspace


@dataclass(frozen=True)
class TakenIn:
    """What came in, and what kept more from coming in, if anything."""

    intake: Intake = field(default_factory=Intake)
    failure: AmunError | None = None


def take_in(workspace: Workspace) -> TakenIn:
    """Takes the files that wait, and says so; those whose requests are pending already need not wait for a failure."""
    if workspace.params.intake.source is None:
        return TakenIn()
    try:
        intake = take_requests(workspace)
    except AmunError as error:
        tell(f"warning: {error}; the night goes on without what waits there")
        return TakenIn(failure=error)
    taken = tell_count(intake.num_files, "file")
    tell(f"intake: {taken} taken, {tell_count(intake.num_requests, 'new request')}")
    if intake.num_unmatched:
        strangers = tell_count(intake.num_unmatched, "of them matches", "of them match")
        tell(f"warning: {strangers} nobody: `amun request list --state unmatched`")
    if intake.num_rejected:
        rejected = tell_count(intake.num_rejected, "file")
        tell(f"warning: {rejected} of requests rejected, see rejected/ in the intake source")
    return TakenIn(intake)


def add_intake(outcome: Outcome, taken: TakenIn) -> Outcome:
    """Returns how the night ended, with what was rejected before it.

    Raises:
        AmunError: the intake had failed: a night that could not take requests must not pass unnoticed.
    """
    if taken.failure is not None:
        raise taken.failure
    return replace(outcome, num_rejected=taken.intake.num_rejected)
