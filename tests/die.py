"""Runs an `amun` command again and again, each time killed with SIGKILL at another point.

`python -m tests.die ARGUMENT...` reads a line `MOMENT TARGET` for each run. It answers with the run's process id, then
with how it ended: minus the signal, or the exit code. Each run is a process of its own, forked so that none has to
import everything anew.
MOMENT and TARGET are
- `before` or `after` and `module:name`, a function as its caller finds it (`module:name=WORD`: called with WORD);
  `stop` and the same: nothing is killed, and it sleeps before the function until it is woken up;
- `during STAGE`: the run itself, while that stage's own program computes;
- `child STAGE`: that stage's program instead.
- `in SECONDS`: the run itself, that long after its start; `group SECONDS`: with all that it has started;
  `stage SECONDS`: what it has started alone; `term SECONDS`: asked to end, and killed ten seconds later;
- `full BYTES`: nothing is killed, and no file gets longer than that.
"""

import gc
import importlib
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from threading import Event, Thread
from time import sleep
from typing import Any

import psutil

from amun.core.paths import STAGE_LOCK
from tests.processes import find_computing_stage, list_holders
from tests.warm_server import end

GRACE_SECONDS = 10.0
# what each run would import anew
IMPORTED_BY_RUNS = (
    "flows.running",
    "amun.params",
    "prefect.flow_engine",
    "prefect.task_engine",
    "anyio._backends._asyncio",
    "alembic.command",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "mlflow.store.model_registry.sqlalchemy_workspace_store",
    "mlflow.pyfunc",
    "dvc.data_cloud",
    "dvc.lock",
    "dvc.repo.artifacts",
    "dvc.repo.index",
    "dvc.repo.graph",
    "dvc.repo.plots",
    "dvc.rwlock",
    "dvc_data.index.push",
    "scmrepo.git",
    "ruamel.yaml",
    "git",
    "torch._inductor.ir",
    "matplotlib.backends.backend_agg",
)


def main() -> None:
    """Answers the lines until there are no more."""
    from tasks.tools.environment import set_environment

    # Prefect, which the flows import, reads its variables once
    set_environment(Path.cwd())
    for name in ("flows.waves", *IMPORTED_BY_RUNS):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a collection in a run would write to all of it
    for line in iter(sys.stdin.readline, ""):
        print(run_once(*line.split()), flush=True)


def run_once(moment: str, target: str) -> int:
    """Returns how a run that is to be killed at this point has ended."""
    pid = os.fork()
    if pid:
        print(pid, flush=True)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # the answers' channel is the parent's
    match moment:
        case "during" | "child":
            Thread(target=kill_in_stage, args=(target, moment == "child"), daemon=True).start()
        case "in" | "group" | "stage" | "term":
            Thread(target=kill_at, args=(moment, float(target)), daemon=True).start()
        case "full":
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(target), int(target)))
        case _:
            wrap(target, moment)
    from flows.cli import main as run_amun

    try:
        run_amun(sys.argv[1:])
    except SystemExit as exited:
        end(exited.code)
    raise AssertionError("the command line always ends the process")


def die(pid: int) -> None:
    """Kills a process as a power cut would."""
    os.kill(pid, signal.SIGKILL)


def wrap(target: str, moment: str) -> None:
    """Makes the function kill this process before or after it does its work."""
    module_name, path = target.split(":")
    path, _, word = path.partition("=")
    *parents, name = path.split(".")
    owner: Any = importlib.import_module(module_name)
    for parent in parents:
        owner = getattr(owner, parent)
    setattr(owner, name, make_deadly(getattr(owner, name), moment, word))


def make_deadly(function: Callable[..., Any], moment: str, word: str) -> Callable[..., Any]:
    """Returns the function with a kill around it."""
    slept = Event()

    @wraps(function)
    def deadly(*args: Any, **kwargs: Any) -> Any:
        is_meant = not word or word in args
        if is_meant and moment == "stop" and not slept.is_set():
            slept.set()  # once: a function that is called for each attempt would put it to sleep for ever
            os.kill(os.getpid(), signal.SIGSTOP)
        if is_meant and moment == "before":
            die(os.getpid())
        answer = function(*args, **kwargs)
        if is_meant and moment != "stop":
            die(os.getpid())
        return answer

    return deadly


def kill_in_stage(stage: str, is_child: bool) -> None:
    """Waits until the stage's program computes, then kills it or this process."""
    while (pid := find_computing_stage(Path.cwd(), stage, os.getpid())) is None:
        sleep(0.01)
    die(pid if is_child else os.getpid())


def kill_at(moment: str, seconds: float) -> None:
    """Kills so long from now what the moment names."""
    sleep(seconds)
    own = psutil.Process()
    if moment == "term":
        own.terminate()
        sleep(GRACE_SECONDS)
    if moment in ("group", "stage"):
        # where stages run warm they are nobody's children here
        stages = [psutil.Process(pid) for pid in list_holders(STAGE_LOCK) if psutil.pid_exists(pid)]
        for child in [*own.children(recursive=True), *stages]:
            with suppress(psutil.NoSuchProcess):
                child.kill()
    if moment != "stage":
        own.kill()


if __name__ == "__main__":
    main()
