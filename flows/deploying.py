"""`amun deploy`: the nightly job on a Prefect server of the user's, for a worker of theirs."""

import asyncio
import os
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.exceptions import ObjectNotFound

from amun.core.commands import tell_command
from amun.core.errors import InputError
from amun.core.masking import holds_password
from flows.deployment import make_deployment
from tasks.tools import dvc
from tasks.tools.environment import API_VARIABLE
from tasks.tools.git import require_branch, run_git
from tasks.workspace.upstream import find_git_remote
from tasks.workspace.workspace import Workspace

CLONING_STEP = "flows.worker.enter_clone"


def deploy(workspace: Workspace, work_pool: str, clones: bool) -> UUID:
    """Registers the nightly job for a work pool and returns the deployment's id; said again it replaces the first.

    Args:
        workspace: whose nights.
        work_pool: where a worker of the user's fetches its runs.
        clones: whether a run clones the workspace into an empty folder; else it works in this one, on this machine.

    Raises:
        InputError: no such pool, a schedule that is none, or nothing there that a clone could work with.
    """
    _require_pool(work_pool)
    steps = [_describe_step(workspace.root)] if clones else []
    folder = "." if clones else str(workspace.root)
    deployment = make_deployment(workspace, folder, work_pool_name=work_pool)
    deployment_id = asyncio.run(deployment.aapply())
    with get_client(sync_client=True) as client:
        client.update_deployment(deployment_id, DeploymentUpdate(pull_steps=steps))
    return deployment_id


def _require_pool(name: str) -> None:
    with get_client(sync_client=True) as client:
        try:
            client.read_work_pool(name)
        except ObjectNotFound:
            raise InputError(
                f"--work-pool {name}: Prefect at {os.environ[API_VARIABLE]} has no such pool; "
                f"{tell_command('prefect', 'work-pool', 'create', name, '--type', 'process')} makes one"
            ) from None


def _describe_step(root: Path) -> dict[str, Any]:
    remote = find_git_remote(root)
    if remote is None:
        raise InputError(f"{root}: pushes its waves nowhere; `amun init --git-remote origin` names where")
    if not dvc.has_remote(root):
        raise InputError(f"{root}: no DVC remote is configured, so a clone could not fetch the data")
    repository = run_git(root, "remote", "get-url", remote)
    if holds_password(repository):
        raise InputError(f"git remote {remote}: its address holds a password, which Prefect would show to everybody")
    return {CLONING_STEP: {"repository": repository, "branch": require_branch(root)}}
