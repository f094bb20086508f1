"""Step *plan*: which attempts tonight makes, by what its people could show and by what attempts take."""

from datetime import UTC, datetime

from prefect import task

from amun.audit.decision import Plan, plan_attempts
from amun.audit.night import read_night
from amun.core.paths import CALIBRATION, PLAN
from amun.evidence.wave import read_wave, write_json
from amun.store.store import read_owners
from tasks.tools.options import TASK_OPTIONS
from tasks.workspace.costs import weigh
from tasks.workspace.queue import foresee_wait
from tasks.workspace.workspace import Workspace


@task(name="plan", **TASK_OPTIONS)
def plan_night(workspace: Workspace) -> Plan:
    """Returns which attempts to make on the wave that is frozen and whose power is known; `wave/plan.json` says why."""
    root, wave = workspace.root, read_wave(workspace.root)
    calibration = read_owners(root / CALIBRATION)
    night = read_night(root)
    waits_until = foresee_wait(workspace, datetime.now(UTC), with_open=True) if night.gains_by_waiting else None
    able = plan_attempts(
        workspace.params.unlearning,
        workspace.params.gate,
        num_forget=len(wave.forget_ids),
        num_non_members=int((~calibration.is_among(wave.gone_ids)).sum()),
        insufficient=night.insufficient,
        waits_until=waits_until,
    )
    plan, planned = weigh(workspace, able, [*wave.forgotten, wave.forgetting])
    write_json(root / PLAN, planned)
    return plan
