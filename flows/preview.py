"""What a night would find and do, without doing it; apart from the flows, so that reading it imports no Prefect."""

from datetime import UTC, datetime

from amun.core.counts import tell_count
from amun.evidence.wave import ForgottenWave
from amun.ledger.holder import tell_holder
from flows.outcome import Outcome
from tasks.tools.git import require_branch, require_clean
from tasks.workspace.history import require_history
from tasks.workspace.intake_sources import count_waiting
from tasks.workspace.queue import describe_left
from tasks.workspace.wave_paths import BASE_PREFIXES, WAVE_PREFIXES, list_watched_paths
from tasks.workspace.workspace import Workspace, open_ledger, require_params


def describe_next_wave(workspace: Workspace) -> str:
    """Returns what `amun wave run` would do."""
    num_waiting = count_waiting(workspace)
    first = f"would first take {tell_count(num_waiting, 'file')} of requests from {workspace.params.intake.source}\n"
    return f"{first * bool(num_waiting)}{_describe_wave(workspace)}"


def _describe_wave(workspace: Workspace) -> str:
    if told := describe_present(workspace):
        return told
    from tasks.workspace.preview import preview_wave

    preview = preview_wave(workspace)
    attempts, plan = workspace.params.unlearning.attempts, preview.plan
    left = describe_left(workspace, is_open=False)
    what = describe_forgetting(preview.forgetting, preview.num_canaries) + (left and f"; {left}")
    if not plan.attempts:
        return f"{what}; not yet: {plan.wait_reason}"
    names = ", ".join(f"{number} {attempts[number - 1].method}" for number in plan.attempts)
    return f"{what}; attempts in turn: {names}{plan.weighed and f' ({plan.weighed})'}"


def describe_present(workspace: Workspace) -> str:
    """Returns what keeps a new wave from being opened, or the open one that would be gone on with; empty if nothing."""
    if (outcome := find_idle_queue(workspace)) is not None:
        return (
            f"wave {outcome.number} is being run by {outcome.detail}"
            if outcome.state == "busy"
            else "no request is pending"
        )
    with open_ledger() as ledger:
        wave = ledger.peek_wave(workspace.model, datetime.now(UTC))
        rollback = ledger.find_rollback(workspace.model)
    if wave is None:
        return ""
    first = f", after the rollback to version {rollback.to_version}" if rollback is not None else ""
    opened = f"{wave.opened_at:%Y-%m-%d %H:%M} UTC"
    return f"would go on with wave {wave.number} ({wave.kind}), open since {opened}{first}"


def describe_forgetting(forgetting: ForgottenWave, num_canaries: int = 0) -> str:
    """Returns whom and what a wave would forget, in words, and how many canaries it may take along at most."""
    from tasks.workspace.twins import describe_settled

    what = (
        f"wave {forgetting.number} would forget {tell_count(len(forgetting.subject_keys), 'person', 'people')}: "
        f"{tell_count(len(forgetting.forget_ids), 'training sample')} and "
        f"{tell_count(len(forgetting.held_out_ids), 'held-out sample')}"
    )
    canaries = f"with up to {num_canaries} canaries, where these let it be shown" if num_canaries else ""
    return "; ".join(filter(None, [what, describe_settled(forgetting), canaries]))


def describe_rollback(workspace: Workspace, version: int) -> str:
    """Returns what `amun model rollback` would do.

    Raises:
        InputError: the version is not one to go back to, or a wave is in the way.
    """
    from tasks.views.rollback_plan import plan_rollback, require_no_wave

    with open_ledger() as ledger:
        unfinished = ledger.find_rollback(workspace.model)
    if unfinished is not None:
        return f"would first finish the rollback to version {unfinished.to_version}"
    require_no_wave(workspace)
    return plan_rollback(workspace, version).describe()


def find_idle_queue(workspace: Workspace) -> Outcome | None:
    """Returns the outcome that is certain from the ledger alone, whatever waits in the intake source."""
    now = datetime.now(UTC)
    with open_ledger() as ledger:
        wave = ledger.peek_wave(workspace.model, now)
        pending = ledger.count_status(workspace.model, now).pending
    if wave is not None:
        return None if wave.is_abandoned else Outcome("busy", wave.number, tell_holder(wave.holder))
    return None if pending else Outcome("nothing")


def require_ready(workspace: Workspace) -> None:
    """Refuses a work tree in which a wave could not be recorded.

    Raises:
        InputError: wrong parameters, uncommitted changes, a detached head, or a history without the waves' commits.
    """
    require_params(workspace.root)
    require_branch(workspace.root)
    require_history(workspace.root)
    with open_ledger() as ledger:
        wave = ledger.peek_wave(workspace.model, datetime.now(UTC))
        rollback = ledger.find_rollback(workspace.model)
    touches_base = (wave is not None and wave.kind == "base") or rollback is not None
    allowed = [*WAVE_PREFIXES, *(BASE_PREFIXES if touches_base else ())]
    require_clean(workspace.root, allowed, list_watched_paths(workspace.root))
