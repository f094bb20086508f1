"""When a person whom a wave forgets is erased, until when a request has to be claimed for that, what bounds a wave."""

from datetime import datetime, timedelta

from amun.core.params import GateParams, Params
from amun.ledger import Bounds
from amun.ledger.bounds import NIGHT

SPARE_NIGHTS = 3  # that may fail
RETRAINING_NIGHTS = 1  # exact retraining, which follows when no attempt passes, may need a night of its own


def plan_erasure(params: Params, completed_at: datetime) -> datetime | None:
    """Returns when the keys of a wave's people may be destroyed; None where nothing is sealed under them."""
    return completed_at + timedelta(days=params.erasure.waiting_days) if params.data.sealed else None


def find_last_night(params: Params, due_at: datetime | None) -> datetime | None:
    """Returns until when a request has to be claimed, so that there is time to wait, to fail and to retrain."""
    return None if due_at is None else due_at - _find_span(params)


def find_wait(gate: GateParams, last_night: datetime | None, now: datetime) -> datetime | None:
    """Returns until when a night that shows nothing waits for more requests; None where it does not wait.

    Args:
        gate: whether it waits at all.
        last_night: until when the first request of the queue has to be claimed; None where the queue is empty.
        now: the present time.
    """
    if gate.insufficient != "wait" or last_night is None:
        return None
    until = last_night - timedelta(days=gate.wait_days)
    return until if now < until else None


def find_bounds(params: Params, now: datetime) -> Bounds | None:
    """Returns what bounds a wave that is opened now; None where it takes all requests."""
    wave = params.wave
    if wave.max_requests is None and wave.max_forget_share is None:
        return None
    return Bounds(wave.max_requests, wave.max_forget_share, urgent_until=now + NIGHT + _find_span(params))


def _find_span(params: Params) -> timedelta:
    """Returns how long before its due date a request has to be claimed."""
    if not params.data.sealed:
        return timedelta(0)
    return timedelta(days=params.erasure.waiting_days + SPARE_NIGHTS + RETRAINING_NIGHTS)
