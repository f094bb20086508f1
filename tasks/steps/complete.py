"""Step *complete*: the requests are honoured, each with its receipt, and the wave is closed."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from prefect import task

from amun.audit.decision import find_alarms
from amun.audit.night import read_night
from amun.core.params import UnlearningParams
from amun.evidence.attempts import Receipt, Summary, read_decisions
from amun.evidence.costs import StageCost, read_planned
from amun.evidence.figures import AuditFigures, ReportFigures, UnlearnFigures, read_figures
from amun.evidence.wave import read_wave
from amun.ledger import Claim, ParkedAs
from tasks.tools.dvc import StageRun
from tasks.tools.git import name_tag
from tasks.tools.options import TASK_OPTIONS
from tasks.tools.registry import Registered
from tasks.tools.story import tell_requests
from tasks.workspace.deadlines import plan_erasure
from tasks.workspace.workspace import Workspace, open_ledger


@task(name="complete", **TASK_OPTIONS)
def complete_requests(
    workspace: Workspace,
    claim: Claim,
    registered: Registered,
    commit: str,
    stage_runs: list[StageRun],
) -> Summary:
    """Closes the wave and completes its requests in one transaction; returns the wave's summary."""
    wave, summary = read_wave(workspace.root), _summarise(workspace, claim, stage_runs)
    reported = summary.test
    receipt = Receipt(
        model=claim.model,
        wave=claim.number,
        tag=name_tag(claim.number),
        commit=commit,
        version=registered.version,
        method=summary.method,
        memory_left=reported.memory_left,
        memory_left_lower=reported.memory_left_lower,
        memory_left_upper=reported.memory_left_upper,
        ft_auc=reported.ft_auc,
        standard_error=reported.standard_error,
        trace=reported.trace,
        num_canaries=summary.num_canaries,
    )
    now = datetime.now(UTC)
    with open_ledger() as ledger:
        ledger.complete_wave(
            claim,
            version=str(registered.version),
            parent_version=None if wave.base_version is None else str(wave.base_version),
            commit=commit,
            summary=summary,
            receipt=receipt,
            erase_after=plan_erasure(workspace.params, now),
            now=now,
        )
        tell_requests(ledger, claim, "honoured by the wave")
    return summary


def _summarise(workspace: Workspace, claim: Claim, stage_runs: Sequence[StageRun]) -> Summary:
    root, wave = workspace.root, read_wave(workspace.root)
    unlearned, reported = read_figures(UnlearnFigures, root), read_figures(ReportFigures, root)
    return Summary(
        num_subjects=len(wave.forgetting.subject_keys),
        num_canaries=len(wave.forgetting.canary_keys),
        num_forget=len(wave.forget_ids),
        num_held_out=len(wave.forgetting.held_out_ids),
        attempt=unlearned.attempt,
        method=unlearned.method,
        insufficient=read_night(root).insufficient,
        decisions=tuple(made.model_copy(update={"epochs": ()}) for made in read_decisions(root)),
        warning=find_alarms(unlearned, reported, workspace.params.gate),
        calibration=read_figures(AuditFigures, root),
        test=reported,
        stage_seconds=round(sum(run.result.seconds for run in stage_runs), 2),
        was_resumed=claim.resumed,
        costs=tuple(describe_costs(stage_runs, workspace.params.unlearning)),
        plan=read_planned(root),
    )


def describe_costs(stage_runs: Sequence[StageRun], unlearning: UnlearningParams) -> Iterator[StageCost]:
    """Yields what each stage took that has computed anything in this run."""
    for run in stage_runs:
        if not (result := run.result).seconds:
            continue  # it was up to date
        work = result.work
        yield StageCost(
            stage=run.stage,
            seconds=round(result.seconds, 3),
            num_samples=None if work is None else work.num_samples,
            epochs=1 if work is None else work.epochs,
            method=None if run.attempt is None else unlearning.attempts[run.attempt - 1].method,
            machine=result.machine,
        )


@task(name="park", **TASK_OPTIONS)
def park_wave(claim: Claim, reason: str, parked_as: ParkedAs) -> None:
    """Gives the wave up: its requests go back to the head of the queue."""
    with open_ledger() as ledger:
        ledger.park_wave(claim, reason, datetime.now(UTC), parked_as)
