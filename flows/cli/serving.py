"""`amun serve` and `amun deploy`: the nightly job, here or by a worker elsewhere."""

import os
from datetime import UTC, datetime
from typing import Annotated

import typer

from amun.core.errors import InputError
from amun.core.log import begin_log
from flows.cli import checks, shared

Port = Annotated[int | None, typer.Option(min=1, max=65535, metavar="PORT", show_default=False)]


def serve(
    mlflow_port: Port = None,
    prefect_port: Port = None,
    metrics_port: Port = None,
    metrics_host: Annotated[
        str, typer.Option(metavar="HOST", help="Where the metrics are served; 0.0.0.0 is for other machines, too.")
    ] = "127.0.0.1",
    page_port: Port = None,
    page_host: Annotated[
        str, typer.Option(metavar="HOST", help="Where the report is served, once AMUN_PAGE_TOKEN names a token's file.")
    ] = "127.0.0.1",
) -> None:
    """Run MLflow, Prefect and the nightly job until Ctrl-C or SIGTERM, and serve the metrics.

    Unless you choose their ports, the servers have those of the last time, at first 5000 and 4200, or else free ones.
    The metrics have 9464 and the report 9465, or else a free one.
    """
    from flows import serving

    begin_log()
    workspace = shared.open_here()
    checks.require_sound(workspace)
    serving.serve(workspace, serving.Ports(mlflow_port, prefect_port, metrics_port, metrics_host, page_port, page_host))


def deploy(
    work_pool: Annotated[str, typer.Option(help="Where a worker of yours fetches its runs.", show_default=False)],
    clone: Annotated[
        bool, typer.Option("--clone", help="Each run clones the workspace's git remote into its empty folder.")
    ] = False,
) -> None:
    """Register the nightly job on your Prefect server, for a worker of yours."""
    from tasks.tools.addresses import find_addresses
    from tasks.tools.environment import API_VARIABLE
    from tasks.tools.servers import require_answer
    from tasks.workspace.workspace import require_params

    workspace = shared.open_here()
    require_params(workspace.root)
    url, served = os.environ.get(API_VARIABLE), find_addresses(workspace.root)
    if not url:
        raise InputError(f"{API_VARIABLE}: not set; it names the Prefect server that your worker asks")
    if served is not None and served.prefect == url:
        raise InputError(f"{workspace.root}: `amun serve` runs the nights there; stop it, or name another server")
    require_answer(API_VARIABLE, url)
    from flows.deploying import deploy as register
    from tasks.tools.schedule import describe_next_runs

    schedule = workspace.params.schedule
    next_runs = describe_next_runs(schedule, datetime.now(UTC))
    register(workspace, work_pool, clones=clone)
    print(f"{workspace.model}-nightly at {schedule.cron} ({schedule.timezone}), by the workers of {work_pool}")
    print(next_runs)
