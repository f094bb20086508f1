"""The program with which `amun serve` runs the nights. Run as `python -m flows.nightly WORKSPACE own|user`."""

import asyncio
import signal
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from prefect.runner import Runner

from amun.core.log import begin_log
from amun.core.masking import mask_tracebacks
from flows.deployment import is_paused, make_deployment, name_deployment
from tasks.tools.overdue_runs import close_lost_runs, merge_overdue_runs, start_run
from tasks.workspace.workspace import Workspace, open_ledger, open_workspace


async def run_nights(root: Path, has_own_prefect: bool) -> None:
    """Registers the deployment and runs what falls due, one run at a time, until Ctrl-C.

    Args:
        root: the workspace.
        has_own_prefect: whether the server knows the runs of this process alone.

    Note:
        When Prefect's own `serve` is told to stop, it leaves the run that is at work to itself. Here the run is
        cancelled first. The deployment stays active.
    """
    workspace = open_workspace(root)
    runner = Runner(limit=1, pause_on_shutdown=False)
    deployment_id = await runner.aadd_deployment(await asyncio.to_thread(make_deployment, workspace, str(root)))
    await asyncio.to_thread(_catch_up, workspace, deployment_id, has_own_prefect)
    schedule = workspace.params.schedule
    paused = ", paused in Prefect" if await asyncio.to_thread(is_paused, workspace) else ""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stopped.set)
    print(f"ready: {name_deployment(workspace)} at {schedule.cron} ({schedule.timezone}){paused}", flush=True)
    nights = asyncio.create_task(runner.start())
    await asyncio.wait([nights, asyncio.create_task(stopped.wait())], return_when=asyncio.FIRST_COMPLETED)
    if runner.started:
        await runner.astop()
    else:
        nights.cancel()  # what has not started yet refuses to be stopped
    with suppress(asyncio.CancelledError):
        await nights


def _catch_up(workspace: Workspace, deployment_id: UUID, has_own_prefect: bool) -> None:
    """Makes one run of all that fell due while nobody served, and goes on with a wave that was interrupted."""
    if has_own_prefect:
        close_lost_runs(deployment_id)
    if merge_overdue_runs(deployment_id):
        return
    with open_ledger() as ledger:
        wave = ledger.peek_wave(workspace.model, datetime.now(UTC))
    if wave is not None and wave.is_abandoned:
        start_run(deployment_id, f"{workspace.model}-wave-{wave.number:04d}-resumed")


if __name__ == "__main__":
    mask_tracebacks()
    begin_log()
    asyncio.run(run_nights(Path(sys.argv[1]), sys.argv[2] == "own"))
