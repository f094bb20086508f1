"""The nightly job as Prefect knows it: one deployment of the deletion flow for each model."""

from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.types.entrypoint import EntrypointType

from flows.waves import deletion_wave
from tasks.tools.schedule import read_schedule
from tasks.workspace.workspace import Workspace


def make_deployment(workspace: Workspace, folder: str, **options: Any) -> RunnerDeployment:
    """Returns the deployment `MODEL-nightly`; a schedule that somebody has paused in Prefect stays so.

    Args:
        workspace: whose model and schedule.
        folder: where a run finds the workspace.
        options: what else Prefect is to know, such as a work pool.

    Raises:
        InputError: a schedule that is none.
    """
    schedule = read_schedule(workspace.params.schedule)
    return RunnerDeployment.from_flow(
        deletion_wave,
        name=name_deployment(workspace),
        description=f"Honours every night the pending requests to be forgotten by {workspace.model}.",
        schedules=[DeploymentScheduleCreate(schedule=schedule, active=not is_paused(workspace))],
        parameters={"workspace": folder, "dry_run": False},
        tags=[f"model:{workspace.model}"],
        entrypoint_type=EntrypointType.MODULE_PATH,
        **options,
    )


def is_paused(workspace: Workspace) -> bool:
    """Tells whether somebody has paused the nights in Prefect."""
    with get_client(sync_client=True) as client:
        try:
            known = client.read_deployment_by_name(f"{deletion_wave.name}/{name_deployment(workspace)}")
        except ObjectNotFound:
            return False
    return bool(known.schedules) and not any(schedule.active for schedule in known.schedules)


def name_deployment(workspace: Workspace) -> str:
    """Returns the deployment's name."""
    return f"{workspace.model}-nightly"
