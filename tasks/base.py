"""What a new base needs around its stages: thawed before, nobody forgotten in it, frozen after."""

from prefect import task

from amun.ledger import Claim
from amun.paths import EXCLUSIONS
from amun.wave import write_json
from tasks import pipeline
from tasks.freeze import read_committed_forgotten
from tasks.options import TASK_OPTIONS
from tasks.workspace import Workspace, require_lease


@task(name="thaw", **TASK_OPTIONS)
def prepare_base(workspace: Workspace, claim: Claim) -> None:
    """Thaws the base stages and writes whom `prepare` leaves out: everybody forgotten so far."""
    require_lease(claim)
    keys = sorted({key for wave in read_committed_forgotten(workspace.root) for key in wave.subject_keys})
    write_json(workspace.root / EXCLUSIONS, keys)
    pipeline.thaw_base(workspace.root)


@task(name="freeze-base", **TASK_OPTIONS)
def finish_base(workspace: Workspace, claim: Claim) -> None:
    """Freezes the base stages, so that nothing reruns them by accident."""
    require_lease(claim)
    pipeline.freeze_base(workspace.root)
