"""How Prefect runs the tasks: what is cached, and what may be tried again."""

from typing import Any

from prefect.cache_policies import NO_CACHE
from prefect.runtime import task_run

from amun.core.errors import InputError, LeaseLostError


def _name_run() -> str:
    """Returns the name of the running task: Prefect would add letters drawn by chance."""
    return str(task_run.task_name)


# DVC knows what is up to date; Prefect's cache does not see changes in the code.
TASK_OPTIONS: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False, "task_run_name": _name_run}


def _may_recover(_task: Any, _run: Any, state: Any) -> bool:
    """Tells whether trying again can help: not where the input is wrong or the wave is in other hands."""
    return not isinstance(state.result(raise_on_failure=False), InputError | LeaseLostError)


# for steps that talk to a server: a remote, a registry
NETWORK_OPTIONS: dict[str, Any] = TASK_OPTIONS | {
    "retries": 2,
    "retry_delay_seconds": [2, 10],
    "retry_condition_fn": _may_recover,
}
