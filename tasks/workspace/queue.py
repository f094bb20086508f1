"""What the bounds on a wave leave to later nights, whether a wave may wait for more requests, and how that is told."""

from datetime import UTC, datetime

from amun.core.counts import tell_count
from amun.ledger import Ledger, Pace
from tasks.workspace.deadlines import find_bounds, find_last_night, find_wait
from tasks.workspace.workspace import Workspace, open_ledger


def find_pace(workspace: Workspace, ledger: Ledger, now: datetime, *, with_open: bool = False) -> Pace | None:
    """Returns how the nights to come take the requests that wait; None where one night takes all.

    Args:
        workspace: whose queue.
        ledger: that has it.
        now: the present time.
        with_open: as if the open wave had been parked.
    """
    bounds = find_bounds(workspace.params, now)
    return None if bounds is None else ledger.foresee_nights(workspace.model, bounds, with_open=with_open)


def foresee_wait(workspace: Workspace, now: datetime, *, with_open: bool = False) -> datetime | None:
    """Returns until when the next wave, where it shows nothing, waits for more requests; None where it does not wait.

    A wave that is full by its bounds does not: it would not grow.

    Args:
        workspace: whose queue.
        now: the present time.
        with_open: as if the open wave had been parked.
    """
    with open_ledger() as ledger:
        next_due = ledger.count_status(workspace.model, now).next_due
        pace = find_pace(workspace, ledger, now, with_open=with_open)
    if pace is not None and pace.is_full:
        return None
    return find_wait(workspace.params.gate, find_last_night(workspace.params, next_due), now)


def describe_left(workspace: Workspace, *, is_open: bool) -> str:
    """Returns what is told of the requests that a wave leaves to later nights; empty if there are none.

    Args:
        workspace: whose wave.
        is_open: the wave has been opened, and who still waits is left; it is the next one otherwise.
    """
    with open_ledger() as ledger:
        pace = find_pace(workspace, ledger, datetime.now(UTC))
    num_left = 0 if pace is None else pace.num_later + pace.num_tonight * is_open
    waits = tell_count(num_left, "request waits", "requests wait")
    return f"{waits} for a later night, as `wave` in params.yaml bounds one" if num_left else ""


def tell_forced(num_forced: int) -> str:
    """Returns what is told where the bounds leave requests waiting for as long as they are in time at all."""
    requests = tell_count(num_forced, "request")
    return f"`wave` in params.yaml leaves {requests} to the last night in time, on which no bound counts"
