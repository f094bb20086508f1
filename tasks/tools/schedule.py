"""The schedule of the nightly job, checked by the library that will follow it."""

import asyncio
from datetime import datetime, timedelta

from prefect.client.schemas.schedules import CronSchedule
from pydantic import ValidationError

from amun.core.errors import InputError
from amun.core.params import ScheduleParams

NUM_SHOWN = 3
# in so long a time a night must come; requests are due after a month
HORIZON = timedelta(days=365)


def read_schedule(params: ScheduleParams) -> CronSchedule:
    """Returns the schedule as Prefect keeps it.

    Raises:
        InputError: the cron line or the time zone is none.
    """
    try:
        return CronSchedule(cron=params.cron, timezone=params.timezone)
    except ValidationError as error:
        key = error.errors()[0]["loc"][0]
        example = {"cron": "write five fields, '0 3 * * *'", "timezone": "write a name such as Europe/Berlin"}
        raise InputError(
            f"params.yaml: schedule.{key}: Prefect does not know '{getattr(params, str(key))}'; {example[str(key)]}"
        ) from None


def list_next_runs(params: ScheduleParams, now: datetime) -> list[datetime]:
    """Returns when the next three runs fall due, on the schedule's own clock, as Prefect's server finds them.

    Raises:
        InputError: the schedule is none, or no run falls due within a year.
    """
    from prefect.server.schemas.schedules import CronSchedule as ServerSchedule

    known = read_schedule(params)
    schedule = ServerSchedule(cron=known.cron, timezone=known.timezone)
    try:
        dates = asyncio.run(schedule.get_dates(NUM_SHOWN, now, now + HORIZON))
    except ValueError:  # it has looked for years
        dates = []
    if not dates:
        raise InputError(
            f"params.yaml: schedule.cron: '{params.cron}' names no night of the next year; every night at three is "
            "0 3 * * *"
        )
    return list(dates)


def describe_next_runs(params: ScheduleParams, now: datetime) -> str:
    """Returns when the next runs fall due, in one line.

    Raises:
        InputError: as `list_next_runs`.
    """
    dates = ", ".join(f"{date:%Y-%m-%d %H:%M}" for date in list_next_runs(params, now))
    return f"next runs: {dates} ({params.timezone})"
