"""The two flows: a new base, and a deletion wave. Each reads as the steps it takes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from prefect import flow

from amun.audit.decision import Decision, find_alarms, find_contradiction, list_exact
from amun.core.commands import tell_command
from amun.core.counts import tell_count
from amun.core.errors import AmunError, AttemptError, LeaseLostError
from amun.core.log import begin_log
from amun.core.params import GateParams
from amun.core.stage_names import BASE_STAGES
from amun.evidence.figures import ReportFigures, UnlearnFigures, read_figures
from amun.ledger import Claim, ParkedAs, Rollback, WaveBusy, WaveKind
from amun.ledger.holder import tell_holder
from flows.intake import add_intake, take_in
from flows.night import close_night
from flows.outcome import Outcome, ParkedError
from flows.preview import describe_next_wave, require_ready
from tasks.steps.artifacts import show_wave
from tasks.steps.base import check_samples, finish_base, prepare_base, refresh_base_source
from tasks.steps.complete import complete_requests, park_wave
from tasks.steps.earlier import look_at_earlier
from tasks.steps.freeze import freeze_wave, record_holdings
from tasks.steps.gate import (
    begin_attempt,
    judge_attempt,
    keep_decision,
    overrule_attempt,
)
from tasks.steps.lease import hold_wave
from tasks.steps.night import plan_night
from tasks.steps.record import (
    clear_away,
    find_recorded_commit,
    follow_upstream,
    push_data,
    push_lineage,
    record_wave,
    restore_files,
    tag_wave,
)
from tasks.steps.register import promote_version, register_version
from tasks.steps.retrained import retrain_beside_base
from tasks.steps.rollback import find_rollback, has_requests, promote_back, reopen_requests, restore_line
from tasks.steps.stages import reproduce_stage
from tasks.tools.dvc import StageInterruptedError, StageRun, repair_files
from tasks.tools.story import tell, tell_failure, tell_plan
from tasks.workspace.upstream import follow
from tasks.workspace.wave_paths import list_wave_paths
from tasks.workspace.workspace import Workspace, open_workspace


@dataclass(frozen=True)
class Attempts:
    """Attempts made: the decision on the last one, and the stages that ran for them."""

    decision: Decision
    runs: list[StageRun]


@flow(name="build-base", persist_result=False)
def build_base(workspace: str) -> Outcome:
    """Trains a base and its references on what is held, and registers it as a wave that forgets nobody.

    Every later wave starts from it. Its flow run carries the tags `model:NAME` and `wave:N`.
    """
    return _run_wave(open_workspace(Path(workspace)), "base")


@flow(
    name="deletion-wave",
    persist_result=False,
    on_failure=[tell_failure],
    on_crashed=[tell_failure],
    on_cancellation=[tell_failure],
)
def deletion_wave(workspace: str, dry_run: bool = False) -> Outcome:
    """Takes the requests that wait in the intake source, and honours all that are pending, to the receipts.

    A wave that another run left open is resumed. The flow run carries the tags `model:NAME` and `wave:N`; its
    artifacts are the wave's figures, a summary in words, and how far its long stages have come.

    Args:
        workspace: Folder of the workspace, on the machine that runs this.
        dry_run: Only tell what the next wave would do; nothing is written.
    """
    begin_log()
    opened = open_workspace(Path(workspace))
    if dry_run:
        tell_plan(opened.model, describe_next_wave(opened))
        return Outcome("planned")
    try:
        outcome = _take_in_and_forget(opened)
    except (LeaseLostError, StageInterruptedError):
        raise  # the wave is another run's now; or a person has stopped the night
    except Exception as error:
        close_night(opened, tell, has_failed=True, is_parked=isinstance(error, ParkedError))
        raise
    if outcome.state != "busy":
        close_night(opened, tell, has_failed=False)
    return outcome


def _take_in_and_forget(workspace: Workspace) -> Outcome:
    taken = take_in(workspace)
    require_ready(workspace)
    outcome = _run_wave(workspace, "deletion")
    if outcome.state == "parked":
        raise ParkedError(f"wave {outcome.number} is parked: {outcome.detail}")
    return add_intake(outcome, taken)


def _run_wave(workspace: Workspace, kind: WaveKind) -> Outcome:
    """Runs a wave of this kind; one of the other kind that a killed run left open is finished first."""
    with hold_wave(workspace, kind) as claim:
        if claim is None:
            follow(workspace, list_wave_paths(workspace.root, kind))
            return Outcome("nothing")
        if isinstance(claim, WaveBusy):
            return Outcome("busy", claim.number, tell_holder(claim.holder))
        resumed = ", resumed" if claim.resumed else ""
        tell(f"wave {claim.number} of {claim.model} ({claim.kind}{resumed})")
        try:
            outcome = _honour(workspace, claim)
        except LeaseLostError:
            raise
        except Exception:
            clear_away(workspace, claim)
            raise
    if claim.kind == kind:
        return outcome
    if outcome.state == "parked":
        tell(f"warning: wave {outcome.number} is parked: {outcome.detail}")
    return _run_wave(workspace, kind)


def _honour(workspace: Workspace, claim: Claim) -> Outcome:
    """Takes the wave from where it is to its end."""
    runs: list[StageRun] = []
    follow_upstream(workspace, claim)
    if (rollback := find_rollback(workspace)) is not None:
        _go_back(workspace, claim, rollback)
    if claim.kind == "deletion" and not has_requests(claim):
        return _park(workspace, claim, "nothing", "rolled back; nobody has to be forgotten anew")
    commit = find_recorded_commit(workspace, claim)
    if commit is None:
        computed = _compute(workspace, claim, runs)
        if isinstance(computed, Outcome):
            return computed
        commit = computed
    tag = tag_wave(workspace, claim, commit)
    push_data(workspace, claim)
    push_lineage(workspace, claim, tag)
    registered = register_version(workspace, claim, commit)
    promote_version(workspace, claim, registered, commit)
    if claim.kind == "base":
        record_holdings(workspace, claim)
    show_wave(workspace, claim, registered, commit)
    summary = complete_requests(workspace, claim, registered, commit, runs)
    tell(f"wave {claim.number} complete: {tag}, {claim.model} version {registered.version} is champion")
    return Outcome("complete", claim.number, summary=summary)


def _compute(workspace: Workspace, claim: Claim, runs: list[StageRun]) -> str | Outcome:
    """Computes the wave's stages and records them; returns the commit, or how the wave has ended without one.

    Args:
        workspace: whose wave it is.
        claim: to it.
        runs: gets the stages that ran.
    """
    repair_files(workspace.root)
    retrained = None
    if claim.kind == "base":
        try:
            runs += _build_base_stages(workspace, claim)
            retrained = retrain_beside_base(workspace, claim)
            finish_base(workspace, claim)
        except AmunError as error:
            return _give_up_base(workspace, claim, error)
    freeze_wave(workspace, claim, retrained)
    runs.append(reproduce_stage(workspace, claim, "power"))
    plan = plan_night(workspace)
    if not plan.attempts:
        return _park(workspace, claim, "waiting", plan.wait_reason)
    if plan.reason:
        tell(f"  retrained at once: {plan.reason}")
    elif plan.weighed:
        tell(f"  attempts in turn: {plan.weighed}")
    runs.append(reproduce_stage(workspace, claim, "adversarial"))
    made = _make_attempts(workspace, claim, plan.attempts, plan.reason)
    runs += made.runs
    if not made.decision.passed:
        reason = "no attempt passed the gate"
        advice = tell_command("amun", "wave", "show", claim.number)
        return _park(workspace, claim, "parked", f"{reason}; {made.decision.reason}", f"{reason}; {advice} says why")
    if warning := find_alarms(*_read_report(workspace)):
        tell(f"  warning: {warning}")
    return record_wave(workspace, claim)


def _go_back(workspace: Workspace, claim: Claim, rollback: Rollback) -> None:
    """Carries out the rollback that this wave was opened for; the wave then forgets anew whom it brought back."""
    tell(f"  {claim.model} goes back from version {rollback.from_version} to version {rollback.to_version}")
    promote_back(workspace, claim, rollback)
    restore_line(workspace, claim, rollback)
    push_lineage(workspace, claim)
    num_requests = reopen_requests(workspace, claim)
    tell(f"  open again: {tell_count(num_requests, 'request')}")


def _build_base_stages(workspace: Workspace, claim: Claim) -> list[StageRun]:
    prepare_base(workspace, claim)
    refresh_base_source(workspace, claim)
    first, *others = BASE_STAGES
    # the source's files are no dependency of `prepare`: what is new there comes in with a new base
    runs = [reproduce_stage(workspace, claim, first, force=True)]
    check_samples(workspace, claim)
    return runs + [reproduce_stage(workspace, claim, stage) for stage in others]


def _make_attempts(workspace: Workspace, claim: Claim, numbers: Sequence[int], told: str = "") -> Attempts:
    """Makes the attempts in turn until one passes the gate, and reports on it.

    Where the test half refutes it, exact retraining alone follows: another attempt would be chosen by the test half.
    So it is where the model remembers people of earlier waves: other attempts begin with the same base.
    What was told of the night before, as why it is retrained at once, is not told again.
    """
    runs: list[StageRun] = []
    for number in numbers:
        made = _make_attempt(workspace, claim, number)
        runs += made.runs
        reason = made.decision.reason.removesuffix(f"; {told}") if told else made.decision.reason
        if claim.kind == "deletion":  # a base is no attempt to forget anybody, and passes by definition
            tell(f"  attempt {number} {'passed' if made.decision.passed else 'refused'}: {reason}")
        if made.decision.warning:
            tell(f"  warning: {made.decision.warning}")
        if made.decision.passed:
            break
    if not made.decision.passed:
        return Attempts(made.decision, runs)
    runs.append(reproduce_stage(workspace, claim, "report"))
    contradiction = find_contradiction(*_read_report(workspace)) or look_at_earlier(workspace, number)
    if not contradiction:
        return Attempts(made.decision, runs)
    tell(f"  attempt {number} refused after all: {contradiction}")
    overrule_attempt(workspace, number, contradiction)
    exact = [later for later in list_exact(workspace.params.unlearning) if later > number]
    if not exact:
        return Attempts(Decision(False, contradiction), runs)
    retrained = _make_attempts(workspace, claim, exact)
    return Attempts(retrained.decision, runs + retrained.runs)


def _read_report(workspace: Workspace) -> tuple[UnlearnFigures, ReportFigures, GateParams]:
    root = workspace.root
    return read_figures(UnlearnFigures, root), read_figures(ReportFigures, root), workspace.params.gate


def _make_attempt(workspace: Workspace, claim: Claim, number: int) -> Attempts:
    begin_attempt(workspace, claim, number)
    try:
        unlearned = reproduce_stage(workspace, claim, "unlearn", attempt=number)
    except AttemptError as error:
        return Attempts(keep_decision(workspace, number, Decision(False, str(error))), [])
    audited = reproduce_stage(workspace, claim, "audit", attempt=number)
    return Attempts(judge_attempt(workspace, number), [unlearned, audited])


def _park(workspace: Workspace, claim: Claim, state: ParkedAs, reason: str, told: str = "") -> Outcome:
    """Gives the wave up for this night.

    Args:
        workspace: whose wave it is.
        claim: to it.
        state: how the run ends. A parked wave is a failure, which whoever called tells.
        reason: kept in the ledger.
        told: what a person is told of it, where most of the reason was told before.
    """
    restore_files(workspace, claim)
    park_wave(claim, reason, state)
    if state != "parked":
        tell(f"wave {claim.number} {'waits' if state == 'waiting' else 'parked'}: {reason}")
    return Outcome(state, claim.number, told or reason)


def _give_up_base(workspace: Workspace, claim: Claim, error: AmunError) -> Outcome:
    """Parks a base that cannot be built: the old one stays. The first base has none before it."""
    if claim.number == 0 or isinstance(error, LeaseLostError):
        raise error
    return replace(_park(workspace, claim, "parked", str(error)), told=error.told)
