#!/usr/bin/env bash
# Two other schedulers write "daily at 03:00" in six fields: Spring puts seconds first, AWS
# EventBridge the year last. Prefect takes both without a word, and reads the sixth as seconds.
# Seen here: 60 runs on the 3rd of each month, and 60 runs each day.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check \
    prefect==3.8.8 SQLAlchemy==2.0.58 fastapi==0.150.0 starlette==1.10.0 pydantic==2.14.3

export DO_NOT_TRACK=1 PREFECT_SERVER_ANALYTICS_ENABLED=false PREFECT_HOME=$work/prefect
"$work/venv/bin/python" - <<'PYTHON'
import asyncio
import sys
from datetime import UTC, datetime

import prefect
from prefect.client.schemas.schedules import CronSchedule as ClientSchedule
from prefect.server.schemas.schedules import CronSchedule as ServerSchedule

START, END = datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2026, 1, 4, 12, tzinfo=UTC)
# How the first three dates and the number of runs from START to END looked.
SEEN = {
    "0 3 * * *": (["02 03:00:00", "03 03:00:00", "04 03:00:00"], 3),  # five fields, to compare
    "0 0 3 * * *": (["03 00:00:00", "03 00:00:01", "03 00:00:02"], 60),  # Spring
    "0 3 * * ? *": (["02 03:00:00", "02 03:00:01", "02 03:00:02"], 180),  # AWS EventBridge
}


def dates_of(cron: str) -> list[datetime]:
    """Returns the runs from START to END, if both client and server take the cron text."""
    ClientSchedule(cron=cron, timezone="UTC")
    schedule = ServerSchedule(cron=cron, timezone="UTC")
    return asyncio.run(schedule.get_dates(n=1000, start=START, end=END))


print("prefect", prefect.__version__)
print(f"from {START} to {END}")
print("expected: six fields are refused, or mean daily at 03:00 as where they were written: 3 runs")
print("seen:")
for cron, (first_seen, num_seen) in SEEN.items():
    try:
        dates = dates_of(cron)
    except ValueError:
        sys.exit(f"changed: {cron!r} is refused")
    first = [f"{date:%d %H:%M:%S}" for date in dates[:3]]
    print(f"  {cron!r:14} {len(dates):4} runs, first on {', '.join(map(str, dates[:3]))}")
    if (first, len(dates)) != (first_seen, num_seen):
        sys.exit(f"changed: {cron!r} gives other dates")
PYTHON
