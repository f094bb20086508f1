"""What a run tells while it works: a plain line on the terminal or in the log, and in Prefect's page."""

import logging
import sys
from typing import Any

from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext
from prefect.logging import get_run_logger

from amun.core.errors import AmunError
from amun.core.log import has_begun, tell_event
from amun.core.masking import mask_passwords
from amun.ledger import Claim, Ledger


def _tell_plainly(record: logging.LogRecord) -> bool:
    """Leaves the traceback of an error of ours out, whose line says all; masks passwords in what stays."""
    try:
        told = record.getMessage()
    except (TypeError, ValueError, LookupError):  # its arguments do not fit
        told = f"{record.msg} {record.args}"
    record.msg, record.args = mask_passwords(told), ()
    if record.exc_info and isinstance(record.exc_info[1], AmunError):
        record.exc_info = None
    elif record.exc_info:
        # whoever formats the record takes this text in the place of the traceback
        record.exc_text = mask_passwords(logging.Formatter().formatException(record.exc_info))
    return True


for _name in ("prefect.flow_runs", "prefect.task_runs"):
    logging.getLogger(_name).addFilter(_tell_plainly)


def tell(line: str) -> None:
    """Says one line of what happens."""
    print(line, flush=True)
    if FlowRunContext.get() is not None:
        get_run_logger().info(line.strip())


def tell_requests(ledger: Ledger, claim: Claim, message: str) -> None:
    """Tells a log that programs read what has become of each request of a wave."""
    if not has_begun():
        return
    for request in ledger.requests_of_wave(claim.model, claim.number):
        tell_event(message, request=request.request_id)


def tell_plan(model: str, plan: str) -> None:
    """Says what a dry run has found, and keeps it as an artifact of the run."""
    tell(plan)
    create_markdown_artifact(plan, key=f"{model}-dry-run", description="What the next wave would do")


def tell_failure(flow: Any, flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001 - a hook of Prefect's
    """Says in one line that a run of the nightly job did not end well; whoever typed a command is told by it."""
    if flow_run.deployment_id is not None:
        told = f"amun: {flow_run.name} {state.type.value.lower()}: {state.message}"
        print(mask_passwords(told), file=sys.stderr, flush=True)
