"""Runs a flow from the command line: the checks before, and one server for its duration.

Prefect reads its settings once, when it is imported: so it is imported here only after they are set.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Literal

from amun.core.errors import InputError
from flows.night import close_night
from flows.outcome import Outcome
from flows.preview import find_idle_queue, require_ready
from tasks.tools.git import require_clean
from tasks.tools.prefect_server import PrefectServer, provide_prefect
from tasks.workspace.intake_sources import count_waiting
from tasks.workspace.wave_paths import WAVE_PREFIXES, list_wave_paths
from tasks.workspace.workspace import Workspace, open_ledger

Flow = Callable[[str], Outcome]


def run_deletion_wave(workspace: Workspace) -> Outcome:
    """Runs the deletion flow, unless there is nothing to do or another run is at it.

    Raises:
        InputError: uncommitted changes, or a detached head.
        AmunError: the intake source, the git remote or Prefect's server is away; or the flow's own.
    """
    # without the ledger nobody is erased, and nothing is recorded or told: that fails before there is a night
    idle = find_idle_queue(workspace)
    if idle is not None and idle.state == "busy":
        return idle
    say = partial(print, flush=True)
    try:
        if idle is not None and count_waiting(workspace):
            idle = None
        if idle is None:
            require_ready(workspace)
            started = _start_server(workspace, "deletion_wave")
        else:
            _follow(workspace)
    except Exception:
        close_night(workspace, say, has_failed=True)
        raise
    if idle is None:
        return _run_flow(workspace, *started)
    close_night(workspace, say, has_failed=False)
    return idle


def rebuild_base(workspace: Workspace) -> Outcome:
    """Runs the flow that trains a new base, unless another run is at a wave.

    Raises:
        InputError: uncommitted changes, a detached head, a source of which something cannot be used, or training
            samples that are not at hand.
    """
    if workspace.params.data.remain == "none":
        raise InputError(
            "params.yaml: data.remain: a new base is trained on everybody still held, but data.remain is none; "
            "write use once the training samples are at hand"
        )
    outcome = find_idle_queue(workspace)
    if outcome is not None and outcome.state == "busy":
        return outcome
    require_ready(workspace)
    from tasks.workspace.source import inspect_source

    inspect_source(workspace.root, workspace.params.data)
    return run_build_base(workspace)


def roll_back(workspace: Workspace, version: int, reason: str, *, accept_remembering: bool) -> Outcome:
    """Makes an earlier version the champion again and runs the wave that forgets anew; an unfinished one goes first.

    Raises:
        InputError: the version is not one to go back to, a wave is in the way, or people would be remembered whom
            nobody has accepted to remember.
    """
    from tasks.views.rollback_plan import check_reason, plan_rollback, require_no_wave, write_intent

    line = check_reason(reason)
    with open_ledger() as ledger:
        unfinished = ledger.find_rollback(workspace.model)
    if unfinished is not None:
        outcome = run_deletion_wave(workspace)
        if unfinished.to_version == str(version) or outcome.state == "busy":
            return outcome
    require_ready(workspace)
    _follow(workspace)
    require_no_wave(workspace)
    plan = plan_rollback(workspace, version)
    print(plan.describe())
    if plan.num_remembered and not accept_remembering:
        raise InputError("nothing was changed; --accept-remembering does it")
    write_intent(workspace, plan, line)
    return run_deletion_wave(workspace)


def run_build_base(workspace: Workspace) -> Outcome:
    """Runs the base flow under one server."""
    return _run_flow(workspace, *_start_server(workspace, "build_base"))


def _start_server(workspace: Workspace, name: Literal["build_base", "deletion_wave"]) -> tuple[PrefectServer, Flow]:
    """Returns a server that answers, and the flow that is to run under it.

    Raises:
        AmunError: the server that the environment names does not answer, or one of our own does not start.
    """
    server = provide_prefect(workspace.root)
    # a handler that cannot deliver a line to Prefect would say so between ours
    logging.raiseExceptions = False
    from flows import waves

    run: Flow = getattr(waves, name)
    server.wait()
    return server, run


def _run_flow(workspace: Workspace, server: PrefectServer, run: Flow) -> Outcome:
    """Runs a flow under one server; where that was lost on the way a second run goes on with the wave.

    Raises:
        AmunError: the flow's own, or a server of somebody else's has gone.
    """
    return server.run(partial(run, str(workspace.root)))


def _follow(workspace: Workspace) -> None:
    """Brings a clone that has nothing to do to where the others are."""
    from tasks.workspace.upstream import find_git_remote, follow

    if find_git_remote(workspace.root) is not None:
        require_clean(workspace.root, WAVE_PREFIXES)
        follow(workspace, list_wave_paths(workspace.root, "deletion"))
