"""What the last `amun serve` has left in Prefect: runs that fell due meanwhile, and runs that ended with it."""

from datetime import UTC, datetime
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId, FlowRunFilter
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Cancelled, Crashed

PAGE = 200


def merge_overdue_runs(deployment_id: UUID) -> int:
    """Cancels all overdue runs but the latest, which honours everybody; returns how many are left."""
    with get_client(sync_client=True) as client:
        due = [run for run in _list_runs(client, deployment_id, StateType.SCHEDULED) if _is_overdue(run)]
        for run in due[:-1]:
            message = f"fell due while nobody served; {due[-1].name} honours all"
            client.set_flow_run_state(run.id, Cancelled(message=message), force=True)
        return min(len(due), 1)


def close_lost_runs(deployment_id: UUID) -> None:
    """Marks runs as crashed that were at work when the server and all of its runs were stopped."""
    with get_client(sync_client=True) as client:
        for run in _list_runs(client, deployment_id, StateType.RUNNING, StateType.PENDING, StateType.CANCELLING):
            message = "`amun serve` ended during this run; the next one goes on with its wave"
            client.set_flow_run_state(run.id, Crashed(message=message), force=True)


def start_run(deployment_id: UUID, name: str) -> None:
    """Has the deployment run now."""
    with get_client(sync_client=True) as client:
        client.create_flow_run_from_deployment(deployment_id, name=name)


def _list_runs(client: SyncPrefectClient, deployment_id: UUID, *states: StateType) -> list[FlowRun]:
    return client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id])),
        flow_run_filter=FlowRunFilter.model_validate({"state": {"type": {"any_": list(states)}}}),
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
        limit=PAGE,
    )


def _is_overdue(run: FlowRun) -> bool:
    return run.auto_scheduled and run.expected_start_time is not None and run.expected_start_time < datetime.now(UTC)
