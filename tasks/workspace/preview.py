"""What the next wave would be about, before anything is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from amun.audit.decision import Plan, count_references, explain_traceless, plan_attempts
from amun.audit.observations import explain_too_few
from amun.core.counts import tell_count
from amun.core.errors import InputError
from amun.core.keys import load_secret
from amun.core.params import MIN_CANARIES
from amun.core.paths import AUDIT_LOGITS, CALIBRATION, TEST, TRAIN
from amun.evidence.wave import ForgottenWave
from amun.store.drawing import find_strangers
from amun.store.forgetting import find_lost, name_forgotten
from amun.store.samples import Owners, StoredOwners
from amun.store.store import read_owners, read_shape
from tasks.workspace.canaries import find_pool
from tasks.workspace.costs import weigh
from tasks.workspace.deadlines import find_bounds
from tasks.workspace.line import read_line
from tasks.workspace.queue import foresee_wait
from tasks.workspace.store_files import explain_missing
from tasks.workspace.twins import settle
from tasks.workspace.workspace import Workspace, open_ledger


@dataclass(frozen=True)
class Preview:
    """What the next wave would be about.

    Attributes:
        forgetting: whom and what it would forget.
        forgotten: the waves of the line before it.
        insufficient: why its people are certainly too few to show that they are forgotten; empty if they may suffice.
        plan: the attempts that it would make.
        num_canaries: at most so many people may be forgotten along, so that the run can be judged.
    """

    forgetting: ForgottenWave
    forgotten: list[ForgottenWave]
    insufficient: str
    plan: Plan
    num_canaries: int = 0


def preview_wave(workspace: Workspace) -> Preview:
    """Returns what the next wave would be about; nothing is written.

    It can say for certain that its people are too few for any figure, never that they suffice.

    Raises:
        InputError: the base's files are not at hand.
    """
    root, now = workspace.root, datetime.now(UTC)
    with open_ledger() as ledger:
        subjects = ledger.subjects_of_next(workspace.model, find_bounds(workspace.params, now))
        number = len(ledger.list_waves(workspace.model))
    forgotten = read_line(workspace)
    if missing := explain_missing(root, (TRAIN, CALIBRATION, TEST, AUDIT_LOGITS)):
        raise InputError(missing)
    stores = [read_owners(root / path) for path in (TRAIN, CALIBRATION, TEST)]
    require_keys_of_all(stores, forgotten)
    forgetting = settle(workspace, name_forgotten(load_secret(root), number, subjects, stores, forgotten), forgotten)
    gone = [sample_id for wave in [*forgotten, forgetting] for sample_id in wave.held_out_ids]
    num_forget, num_non_members = len(forgetting.forget_ids), int((~stores[1].is_among(gone)).sum())
    traceless = explain_traceless(num_forget, num_non_members, workspace.params.gate)
    waits_until = foresee_wait(workspace, now)
    # as long as more requests may come, no canaries are used up
    is_early = not num_forget or waits_until is not None
    num_canaries = 0 if is_early else _count_canaries(workspace, forgetting)
    insufficient = _foresee(root, forgetting, forgotten, stores) or traceless
    if num_canaries:
        insufficient = ""  # with them it may be shown: the night's first steps will say
    able = plan_attempts(
        workspace.params.unlearning,
        workspace.params.gate,
        num_forget=num_forget,
        num_non_members=num_non_members,
        insufficient=insufficient,
        waits_until=waits_until,
    )
    plan, _ = weigh(workspace, able, [*forgotten, forgetting])
    return Preview(forgetting, forgotten, insufficient, plan, num_canaries)


def require_keys_of_all(stores: Sequence[StoredOwners], forgotten: list[ForgottenWave]) -> None:
    """Refuses a key store without a key of somebody whom no wave has forgotten: such people could not be found by name.

    Raises:
        InputError: it lacks some: another state of the key store, or a copy from before these people came in.
    """
    if lost := find_lost(stores, forgotten):
        raise InputError(
            f"the key store has no keys for {tell_count(len(lost), 'sample')} of people whom no wave has forgotten: "
            "it is an older copy, or another one; bring back the one that belongs to this workspace (AMUN_KEYS_URL)"
        )


def _count_canaries(workspace: Workspace, forgetting: ForgottenWave) -> int:
    """Returns how many canaries the wave may take at most."""
    try:
        pool = find_pool(workspace, forgetting)
    except InputError:
        return 0  # `amun check` and the night say why
    most = 0 if pool is None else min(workspace.params.audit.canaries, pool.num_left)
    return most if most >= MIN_CANARIES else 0


def _foresee(root: Path, forgetting: ForgottenWave, forgotten: list[ForgottenWave], stores: Sequence[Owners]) -> str:
    """Returns why the next wave's people would be too few for any figure; empty if they may suffice."""
    train, calibration, _ = stores
    gone = [sample_id for wave in [*forgotten, forgetting] for sample_id in wave.held_out_ids]
    is_forget = train.is_among(forgetting.forget_ids) & ~train.is_among(forgetting.shared_ids)
    is_held_out = ~calibration.is_among(gone) & find_strangers(calibration, train)
    owners = train.subject_ids[is_forget], calibration.subject_ids[is_held_out]
    return explain_too_few(
        (len(np.unique(owners[0])), len(np.unique(owners[1]))),
        (len(owners[0]), len(owners[1])),
        count_references(read_shape(root / AUDIT_LOGITS)),
    )
