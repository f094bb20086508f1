"""What this workspace's waves took, and which attempts tonight makes by that."""

from collections.abc import Sequence
from dataclasses import replace

from amun.audit.decision import Plan
from amun.core.paths import CALIBRATION, TEST, TRAIN
from amun.costs.choosing import Tonight, foresee_attempts, plan_by_cost
from amun.costs.measured import Past, measure_units
from amun.evidence.costs import PlannedNight
from amun.evidence.wave import ForgottenWave
from amun.store.store import read_owners
from tasks.workspace.workspace import Workspace, open_ledger


def read_past(workspace: Workspace) -> list[Past]:
    """Returns the complete waves of the champion's line, newest first; those that a rollback has undone left it."""
    with open_ledger() as ledger:
        waves = ledger.list_waves(workspace.model)
    return [
        Past(wave.summary, (wave.closed_at - wave.opened_at).total_seconds())
        for wave in reversed(waves)
        # an open one has no end, a parked one no summary
        if wave.undone_by is None and wave.summary is not None and wave.closed_at is not None
    ]


def size_night(workspace: Workspace, forgotten: Sequence[ForgottenWave]) -> Tonight:
    """Returns how many samples a night has to do with.

    Args:
        workspace: whose night it is.
        forgotten: all waves of the line, and the night's own as the last one.
    """
    *earlier, tonight = forgotten
    gone = [sample_id for wave in earlier for sample_id in [*wave.forget_ids, *wave.held_out_ids]]
    train, *halves = (read_owners(workspace.root / path) for path in (TRAIN, CALIBRATION, TEST))
    held_out = [int((~half.is_among([*gone, *tonight.held_out_ids])).sum()) for half in halves]
    return Tonight(
        num_train=int((~train.is_among(gone)).sum()),
        num_forget=len(tonight.forget_ids),
        num_calibration=held_out[0],
        num_test=held_out[1],
        is_remain_at_hand=workspace.params.data.remain == "use",
    )


def weigh(workspace: Workspace, able: Plan, forgotten: Sequence[ForgottenWave]) -> tuple[Plan, PlannedNight]:
    """Returns which attempts a night makes, by `unlearning.policy`, and the record of it.

    Args:
        workspace: whose night it is.
        able: which attempts it could make, by what its people can show.
        forgotten: as for `size_night`.
    """
    policy = workspace.params.unlearning.policy
    if policy == "in_order" or len(able.attempts) < 2:
        return able, PlannedNight(policy=policy, attempts=able.attempts, reason=able.reason)
    line = read_past(workspace)
    costs = foresee_attempts(workspace.params, measure_units(line), line, size_night(workspace, forgotten))
    planned = plan_by_cost(policy, able.attempts, costs)
    if planned.attempts == able.attempts:
        return replace(able, weighed=planned.reason), planned
    return replace(able, attempts=planned.attempts, reason=planned.reason), planned
