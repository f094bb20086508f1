"""What a worker's run does in an empty folder before the flow begins: a pull step of Prefect's."""

import os
from pathlib import Path

from amun.core.errors import InputError
from amun.core.keys import SECRET_VARIABLE
from flows.setup import is_joining, join_workspace
from tasks.tools.environment import LEDGER_VARIABLE, MLFLOW_VARIABLE
from tasks.tools.git_remote import run_remote_git
from tasks.workspace.workspace import open_clone

FOLDER = "workspace"
# each of them would otherwise be a new one, in a folder that is gone with the run
NEEDED = (SECRET_VARIABLE, LEDGER_VARIABLE, MLFLOW_VARIABLE)


def enter_clone(repository: str, branch: str) -> dict[str, str]:
    """Clones the workspace and joins it, unless an earlier run has; the wave itself follows the others' clones.

    Returns the folder in which the flow is to run, as Prefect wants it.

    Raises:
        InputError: the worker's environment lacks a variable, or holds another workspace's secret.
        AmunError: the repository or the DVC remote does not answer.
    """
    if missing := [name for name in NEEDED if not os.environ.get(name)]:
        raise InputError(f"{', '.join(missing)}: not set where the worker runs; infra/amun.env explains it")
    root = Path.cwd() / FOLDER
    if not root.exists():
        run_remote_git(root.parent, "clone", "--quiet", "--branch", branch, repository, FOLDER)
    clone = open_clone(root)
    if is_joining(clone):
        join_workspace(clone, "origin")
    return {"directory": str(root)}
