"""When a person whom a wave forgets is erased, and until when a request has to be claimed so that this is in time."""

from datetime import datetime, timedelta

from amun.core.params import Params

SPARE_NIGHTS = 3  # that may fail
RETRAINING_NIGHTS = 1  # exact retraining, which follows when no attempt passes, may need a night of its own


def plan_erasure(params: Params, completed_at: datetime) -> datetime | None:
    """Returns when the keys of a wave's people may be destroyed; None where nothing is sealed under them."""
    return completed_at + timedelta(days=params.erasure.waiting_days) if params.data.sealed else None


def find_last_night(params: Params, due_at: datetime | None) -> datetime | None:
    """Returns until when a request has to be claimed, so that there is time to wait, to fail and to retrain."""
    if due_at is None or not params.data.sealed:
        return due_at
    return due_at - timedelta(days=params.erasure.waiting_days + SPARE_NIGHTS + RETRAINING_NIGHTS)
