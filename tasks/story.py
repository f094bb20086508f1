"""What a run tells while it works: a plain line on the terminal or in the log, and in Prefect's page."""

from prefect.context import FlowRunContext
from prefect.logging import get_run_logger


def tell(line: str) -> None:
    """Says one line of what happens."""
    print(line, flush=True)
    if FlowRunContext.get() is not None:
        get_run_logger().info(line.strip())
