"""The last night in time leaves room to wait, to fail and to retrain, where there is something to erase."""

from datetime import UTC, datetime, timedelta

import pytest

from tasks.workspace.deadlines import RETRAINING_NIGHTS, SPARE_NIGHTS, find_last_night, plan_erasure
from tests.amun.shipped import PARAMS

DUE = datetime(2026, 3, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize("days", [0, 7])
def test_last_night_leaves_the_waiting_days_and_four_nights(days: int) -> None:
    data = PARAMS.data.model_copy(update={"sealed": True})
    erasure = PARAMS.erasure.model_copy(update={"waiting_days": days})
    params = PARAMS.model_copy(update={"data": data, "erasure": erasure})
    last = find_last_night(params, DUE)
    assert last == DUE - timedelta(days=days + 4)
    # whoever is forgotten after as many failed nights, and a night of retraining, is still erased in time
    assert plan_erasure(params, last + timedelta(days=SPARE_NIGHTS + RETRAINING_NIGHTS)) == DUE
    in_clear = params.model_copy(update={"data": PARAMS.data.model_copy(update={"sealed": False})})
    assert (find_last_night(in_clear, DUE), plan_erasure(in_clear, DUE)) == (DUE, None)
    assert find_last_night(params, None) is None
