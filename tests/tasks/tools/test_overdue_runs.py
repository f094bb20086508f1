"""Nights that fell due while nobody served are one run, on a real server."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Scheduled

from flows.waves import deletion_wave
from tasks.tools.environment import API_VARIABLE
from tasks.tools.overdue_runs import merge_overdue_runs
from tests.fixtures import PREFECT_DATABASE

NIGHTS = 5


def plan(client: SyncPrefectClient, deployment: UUID, database: Path) -> None:
    """Plans nights that are over, and one to come, as the server's scheduler does."""
    for days in [*range(-NIGHTS, 0), 1]:
        at = datetime.now(UTC) + timedelta(days=days)
        client.create_flow_run_from_deployment(deployment, name=f"night {days}", state=Scheduled(scheduled_time=at))
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        # what no client may say of a run
        connection.execute("UPDATE flow_run SET auto_scheduled = 1 WHERE name LIKE 'night %'")


def test_five_missed_nights_are_one_run(variables: dict[str, str], folder: Path) -> None:
    with (
        temporary_settings({PREFECT_API_URL: variables[API_VARIABLE]}),
        get_client(sync_client=True) as client,
    ):
        deployment = client.create_deployment(client.create_flow(deletion_wave), "missed-nights")
        try:
            assert merge_overdue_runs(deployment) == 0
            plan(client, deployment, folder / "prefect" / PREFECT_DATABASE)
            assert merge_overdue_runs(deployment) == merge_overdue_runs(deployment) == 1
            states = {run.name: run.state_name for run in client.read_flow_runs() if run.name.startswith("night ")}
        finally:
            client.delete_deployment(deployment)
    assert states == {f"night {days}": "Cancelled" for days in range(-NIGHTS, -1)} | {
        "night -1": "Scheduled",
        "night 1": "Scheduled",
    }
