"""The schedule of the nightly job, checked by the library that will follow it."""

from prefect.client.schemas.schedules import CronSchedule
from pydantic import ValidationError

from amun.core.errors import InputError
from amun.core.params import ScheduleParams


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
