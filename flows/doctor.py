"""What `amun doctor` looks at: what `amun check` says of servers, disk and schedule, and the checks of a workspace."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

from amun.core.errors import AmunError
from flows import findings
from tasks.tools.environment import API_VARIABLE
from tasks.workspace.fault import Check, Fault
from tasks.workspace.faults import OF_CONTENT, OF_MACHINE
from tasks.workspace.held_locks import tell_held_locks
from tasks.workspace.machine_notes import list_notes
from tasks.workspace.workspace import Workspace

_ANSWER = "see that it runs and is reached from here, or change its address"


def _ask(judge: findings.Judge, remedy: str, workspace: Workspace) -> Iterator[Fault]:
    """Yields what a judge of `amun check` finds, as a fault."""
    try:
        for finding in judge(workspace):
            yield Fault(finding.line, remedy)
    except AmunError as error:
        yield Fault(str(error), remedy)


def _take(about: str, judge: findings.Judge, remedy: str) -> Check:
    return Check(about, partial(_ask, judge, remedy))


CHECKS: tuple[Check, ...] = (
    *OF_MACHINE,
    _take("schedule", findings.judge_schedule, "write a line of cron and a time zone that name the nights"),
    _take("permissions", findings.judge_owner, "type every command as the owner of the workspace"),
    _take("permissions", findings.judge_keys, "bring back what the line names, or say where it is"),
    _take("servers", findings.judge_server, _ANSWER),
    _take("servers", findings.judge_prefect, _ANSWER),
    _take("servers", findings.judge_ledger, _ANSWER),
    _take("servers", findings.judge_remotes, _ANSWER),
    _take("disk", findings.judge_disk, "make room, or move the cache to a larger disk (`dvc cache dir`)"),
    *OF_CONTENT,
)


def tell_notes(workspace: Workspace) -> list[str]:
    """Returns what is no fault and good to know: who holds a lock, when the next nights are, what memory may leave."""
    return [*_tell_nights(workspace), *tell_held_locks(workspace), *list_notes(workspace)]


def _tell_nights(workspace: Workspace) -> list[str]:
    from tasks.tools.schedule import describe_next_runs

    try:
        lines = [describe_next_runs(workspace.params.schedule, datetime.now(UTC))]
    except AmunError:
        return []  # it is a fault
    if not os.environ.get(API_VARIABLE):
        return [f"{lines[0]}, once `amun serve` runs here or a worker: neither does, as far as this environment says"]
    return lines + _tell_pause(workspace)


def _tell_pause(workspace: Workspace) -> list[str]:
    """Returns that somebody has paused the nights, if so; nothing where Prefect does not answer, which is a fault."""
    from tasks.tools.servers import answers

    if not answers(os.environ[API_VARIABLE]):
        return []
    # only here: Prefect takes a second to import
    from flows.deployment import is_paused, name_deployment

    if not is_paused(workspace):
        return []
    return [f"{name_deployment(workspace)} is paused: no night comes until somebody resumes it in Prefect's page"]
