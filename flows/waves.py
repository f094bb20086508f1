"""The two flows: a new base, and a deletion wave. Each reads as the steps it takes."""

from pathlib import Path

from prefect import flow

from amun.audit.decision import Plan
from amun.errors import DivergedError
from amun.ledger import Claim, Held, WaveKind
from flows.outcome import Outcome
from tasks.base import finish_base, prepare_base
from tasks.complete import complete_requests, park_wave
from tasks.freeze import freeze_wave, record_holdings
from tasks.gate import begin_attempt, check_report, judge_attempt
from tasks.lease import hold_wave
from tasks.pipeline import BASE_STAGES
from tasks.record import find_recorded_commit, push_data, record_wave, restore_files, tag_wave
from tasks.register import promote_version, register_version
from tasks.stages import StageRun, reproduce_stage
from tasks.story import tell
from tasks.workspace import Workspace, open_workspace


@flow(name="build-base")
def build_base(workspace: str) -> Outcome:
    """Trains a base and its references on what is held, and registers it as a wave that forgets nobody."""
    return _run_wave(open_workspace(Path(workspace)), "base")


@flow(name="deletion-wave")
def deletion_wave(workspace: str) -> Outcome:
    """Honours all pending requests: one wave, from the claim to the receipts."""
    return _run_wave(open_workspace(Path(workspace)), "deletion")


def _run_wave(workspace: Workspace, kind: WaveKind) -> Outcome:
    with hold_wave(workspace, kind) as claim:
        if claim is None:
            return Outcome("nothing")
        if isinstance(claim, Held):
            return Outcome("held", claim.number, claim.holder)
        resumed = ", resumed" if claim.resumed else ""
        tell(f"wave {claim.number} of {claim.model} ({claim.kind}{resumed})")
        return _honour(workspace, claim)


def _honour(workspace: Workspace, claim: Claim) -> Outcome:
    """Takes the wave from where it is to its end."""
    runs: list[StageRun] = []
    commit = find_recorded_commit(workspace.root, claim.number)
    if commit is None:
        if claim.kind == "base":
            runs += _build_base_stages(workspace, claim)
        plan = freeze_wave(workspace, claim)
        if not plan.attempts:
            return _park(workspace, claim, plan.wait_reason)
        runs.append(reproduce_stage(workspace, claim, "adversarial"))
        if (failure := _make_attempts(workspace, claim, plan, runs)) is not None:
            return _park(workspace, claim, failure)
        runs.append(reproduce_stage(workspace, claim, "report"))
        if warning := check_report(workspace):
            tell(f"  warning: {warning}")
        commit = record_wave(workspace, claim)
    tag = tag_wave(workspace, claim, commit)
    push_data(workspace, claim)
    registered = register_version(workspace, claim, commit)
    promote_version(workspace, claim, registered)
    if claim.kind == "base":
        record_holdings(workspace, claim)
    summary = complete_requests(workspace, claim, registered, commit, runs)
    tell(f"wave {claim.number} complete: {tag}, {claim.model} version {registered.version} is champion")
    return Outcome("complete", claim.number, summary=summary)


def _build_base_stages(workspace: Workspace, claim: Claim) -> list[StageRun]:
    prepare_base(workspace, claim)
    runs = [reproduce_stage(workspace, claim, stage) for stage in BASE_STAGES]
    finish_base(workspace, claim)
    return runs


def _make_attempts(workspace: Workspace, claim: Claim, plan: Plan, runs: list[StageRun]) -> str | None:
    """Makes the attempts in turn until one passes the gate; returns why none did, or None."""
    reason = ""
    for number in plan.attempts:
        begin_attempt(workspace, claim, number)
        try:
            runs.append(reproduce_stage(workspace, claim, "unlearn"))
        except DivergedError as error:
            reason = str(error)
            tell(f"  attempt {number} refused: {reason}")
            continue
        runs.append(reproduce_stage(workspace, claim, "audit"))
        decision = judge_attempt(workspace)
        reason = decision.reason
        tell(f"  attempt {number} {'passed' if decision.passed else 'refused'}: {reason}")
        if decision.warning:
            tell(f"  warning: {decision.warning}")
        if decision.passed:
            return None
    return f"no attempt passed the gate; the last one: {reason}"


def _park(workspace: Workspace, claim: Claim, reason: str) -> Outcome:
    restore_files(workspace, claim)
    park_wave(claim, reason)
    tell(f"wave {claim.number} parked: {reason}")
    return Outcome("parked", claim.number, reason)
