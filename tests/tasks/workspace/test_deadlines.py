"""The last night in time leaves room to wait, to fail and to retrain, where there is something to erase."""

from datetime import UTC, datetime, timedelta

import pytest

from tasks.workspace.deadlines import RETRAINING_NIGHTS, SPARE_NIGHTS, find_bounds, find_last_night, plan_erasure
from tests.amun.shipped import PARAMS

DUE = datetime(2026, 3, 31, 12, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)


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


@pytest.mark.parametrize("sealed", [True, False])
def test_whoever_has_no_later_night_in_time_is_urgent(*, sealed: bool) -> None:
    data = PARAMS.data.model_copy(update={"sealed": sealed})
    shipped = PARAMS.model_copy(update={"data": data})
    assert find_bounds(shipped, DUE) is None, "as shipped a wave takes everybody"
    last = find_last_night(shipped, DUE)
    assert last is not None
    for changes in ({"max_requests": 10}, {"max_forget_share": 0.1}):
        params = shipped.model_copy(update={"wave": shipped.wave.model_copy(update=changes)})
        for is_urgent, now in ((False, last - timedelta(days=1)), (True, last - timedelta(days=1) + MOMENT)):
            bounds = find_bounds(params, now)
            assert bounds is not None
            assert {"max_requests": None, "max_forget_share": None} | changes == {
                "max_requests": bounds.max_requests,
                "max_forget_share": bounds.max_forget_share,
            }
            assert (bounds.urgent_until > DUE) == is_urgent
