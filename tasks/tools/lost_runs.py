"""Runs that were killed: Prefect shows them at work for ever, unless somebody says that they are not."""

from collections.abc import Sequence
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, TaskRunFilter
from prefect.client.schemas.objects import StateType
from prefect.states import Crashed

AT_WORK = [StateType.RUNNING.value, StateType.PENDING.value, StateType.CANCELLING.value]
MESSAGE = "killed; the run that took its wave over goes on with it"


def close_killed_runs(tags: Sequence[str], successor: UUID) -> int:
    """Marks runs of a wave as crashed, and their tasks; returns how many there were.

    Args:
        tags: that all runs of the wave bear, and no other workspace's.
        successor: the run that has taken the wave over: the ledger lets one at a time hold it.
    """
    at_work = {"state": {"type": {"any_": AT_WORK}}}
    with get_client(sync_client=True) as client:
        of_wave = FlowRunFilter.model_validate(at_work | {"tags": {"all_": list(tags)}})
        killed = [run.id for run in client.read_flow_runs(flow_run_filter=of_wave) if run.id != successor]
        for run_id in killed:
            of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
            tasks = client.read_task_runs(flow_run_filter=of_run, task_run_filter=TaskRunFilter.model_validate(at_work))
            for task_run in tasks:
                client.set_task_run_state(task_run.id, Crashed(message=MESSAGE), force=True)
            client.set_flow_run_state(run_id, Crashed(message=MESSAGE), force=True)
        return len(killed)
