"""A schedule names nights that come, and the dates shown are those of the server that will follow it."""

from datetime import UTC, datetime

import pytest

from amun.core.errors import InputError
from amun.core.params import ScheduleParams
from tasks.tools.schedule import describe_next_runs

NOW = datetime(2026, 10, 23, 12, tzinfo=UTC)


def describe(cron: str, timezone: str = "Europe/Berlin") -> str:
    return describe_next_runs(ScheduleParams(cron=cron, timezone=timezone), NOW)


def test_next_runs_are_on_the_schedules_own_clock() -> None:
    dates = "2026-10-24 03:00, 2026-10-25 03:00, 2026-10-26 03:00"  # the clock goes back on the 25th
    assert describe("0 3 * * *") == f"next runs: {dates} (Europe/Berlin)"
    assert describe("0 3 1 1 *", "Etc/UTC") == "next runs: 2027-01-01 03:00 (Etc/UTC)"


@pytest.mark.parametrize("cron", ["0 3 31 2 *", "0 3 31 4,6,9,11 *", "0 3 30 2 *", "0 3 29 2 *"])
def test_night_that_does_not_come_within_a_year_is_refused(cron: str) -> None:
    with pytest.raises(InputError, match=r"schedule.cron: .* names no night of the next year; .* 0 3 \* \* \*"):
        describe(cron)


@pytest.mark.parametrize(
    ("cron", "timezone", "words"),
    [("99 3 * * *", "Etc/UTC", "schedule.cron: .*99 3"), ("0 3 * * *", "Berlin", "schedule.timezone: .*'Berlin'")],
)
def test_schedule_that_is_none_is_refused(cron: str, timezone: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        describe(cron, timezone)
