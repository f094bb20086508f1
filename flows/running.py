"""Runs a flow from the command line: the checks before, and one server for its duration.

Prefect reads its settings once, when it is imported: so it is imported here only after they are set.
"""

from datetime import UTC, datetime

from flows.outcome import Outcome
from tasks.git import require_branch, require_clean
from tasks.servers import provide_prefect
from tasks.wave_paths import BASE_PREFIXES, WAVE_PREFIXES, list_wave_paths
from tasks.workspace import Workspace, open_ledger


def run_deletion_wave(workspace: Workspace) -> Outcome:
    """Runs the deletion flow, unless there is nothing to do or another run is at it.

    Raises:
        InputError: uncommitted changes, or a detached head.
    """
    if (outcome := _find_idle(workspace)) is not None:
        if outcome.state == "nothing":
            _follow(workspace)
        return outcome
    _require_ready(workspace)
    wait_for_server = provide_prefect(workspace.root)
    from flows.waves import deletion_wave

    wait_for_server()
    return deletion_wave(str(workspace.root))


def rebuild_base(workspace: Workspace) -> Outcome:
    """Runs the flow that trains a new base, unless another run is at a wave.

    Raises:
        InputError: uncommitted changes, or a detached head.
    """
    outcome = _find_idle(workspace)
    if outcome is not None and outcome.state == "held":
        return outcome
    _require_ready(workspace)
    return run_build_base(workspace)


def run_build_base(workspace: Workspace) -> Outcome:
    """Runs the base flow under one server."""
    wait_for_server = provide_prefect(workspace.root)
    from flows.waves import build_base

    wait_for_server()
    return build_base(str(workspace.root))


def describe_next_wave(workspace: Workspace) -> str:
    """Returns what `amun wave run` would do."""
    if (outcome := _find_idle(workspace)) is not None:
        return (
            f"wave {outcome.number} is being run by {outcome.detail}"
            if outcome.state == "held"
            else "no request is pending"
        )
    with open_ledger() as ledger:
        wave = ledger.peek_wave(workspace.model, datetime.now(UTC))
    if wave is not None:
        return f"would go on with wave {wave.number} ({wave.kind}), open since {wave.opened_at:%Y-%m-%d %H:%M} UTC"
    from tasks.freeze import preview_wave

    forgetting, plan = preview_wave(workspace)
    attempts = workspace.params.unlearning.attempts
    names = [f"{number} {attempts[number - 1].method}" for number in plan.attempts]
    what = (
        f"wave {forgetting.number} would forget {len(forgetting.subject_keys)} subjects: "
        f"{len(forgetting.forget_ids)} training and {len(forgetting.held_out_ids)} held-out samples"
    )
    return f"{what}; attempts in turn: {', '.join(names)}" if names else f"{what}; not yet: {plan.wait_reason}"


def _find_idle(workspace: Workspace) -> Outcome | None:
    """Returns the outcome that is certain without starting anything."""
    now = datetime.now(UTC)
    with open_ledger() as ledger:
        wave = ledger.peek_wave(workspace.model, now)
        pending = ledger.count_status(workspace.model, now).pending
    if wave is not None:
        return None if wave.is_abandoned else Outcome("held", wave.number, wave.holder)
    return None if pending else Outcome("nothing")


def _follow(workspace: Workspace) -> None:
    """Brings a clone that has nothing to do to where the others are."""
    from tasks.upstream import find_git_remote, follow

    if find_git_remote(workspace.root) is not None:
        require_clean(workspace.root, WAVE_PREFIXES)
        follow(workspace, list_wave_paths(workspace.root, "deletion"))


def _require_ready(workspace: Workspace) -> None:
    require_branch(workspace.root)
    with open_ledger() as ledger:
        wave = ledger.peek_wave(workspace.model, datetime.now(UTC))
    is_base = wave is not None and wave.kind == "base"
    require_clean(workspace.root, [*WAVE_PREFIXES, *(BASE_PREFIXES if is_base else ())])
