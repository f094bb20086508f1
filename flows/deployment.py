"""The nightly job as Prefect knows it: one deployment of the deletion flow for each model."""

from typing import Any

from prefect.deployments.runner import RunnerDeployment
from prefect.types.entrypoint import EntrypointType

from flows.waves import deletion_wave
from tasks.schedule import read_schedule
from tasks.workspace import Workspace


def make_deployment(workspace: Workspace, folder: str, **options: Any) -> RunnerDeployment:
    """Returns the deployment `MODEL-nightly`.

    Args:
        workspace: whose model and schedule.
        folder: where a run finds the workspace.
        options: what else Prefect is to know, such as a work pool.

    Raises:
        InputError: a schedule that is none.
    """
    return RunnerDeployment.from_flow(
        deletion_wave,
        name=name_deployment(workspace),
        description=f"Honours every night all pending requests to be forgotten by {workspace.model}.",
        schedules=[read_schedule(workspace.params.schedule)],
        parameters={"workspace": folder, "dry_run": False},
        tags=[f"model:{workspace.model}"],
        entrypoint_type=EntrypointType.MODULE_PATH,
        **options,
    )


def name_deployment(workspace: Workspace) -> str:
    """Returns the deployment's name."""
    return f"{workspace.model}-nightly"
