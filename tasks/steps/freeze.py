"""Step *freeze*: the files that say what the wave is about, and the base it starts from."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from prefect import task

from amun.audit.decision import Plan, count_references, explain_traceless, plan_attempts
from amun.audit.gather import find_strangers
from amun.audit.observations import explain_too_few
from amun.core.counts import tell_count
from amun.core.errors import AmunError, InputError
from amun.core.keys import file_digest, fingerprint, load_secret
from amun.core.paths import (
    AUDIT_LOGITS,
    AUDIT_METRICS,
    BASE_MODEL,
    CALIBRATION,
    TEST,
    TRAIN,
    UNLEARN_METRICS,
    WAVE,
    WAVE_BASE,
)
from amun.evidence.adoption import read_adopted
from amun.evidence.attempts import write_decisions
from amun.evidence.figures import AuditFigures, UnlearnFigures
from amun.evidence.wave import ForgottenWave, RetrainedFigures, Wave, parse_record, write_json
from amun.ledger import Claim
from amun.store.forgetting import find_lost, name_forgotten
from amun.store.samples import Owners, StoredOwners
from amun.store.store import read_owners, read_shape
from tasks.tools import dvc
from tasks.tools.options import TASK_OPTIONS
from tasks.tools.registered import WaveVersion, find_champion
from tasks.tools.sound import make_sound
from tasks.tools.story import tell
from tasks.workspace.costs import weigh
from tasks.workspace.deadlines import find_last_night
from tasks.workspace.holdings import read_holdings
from tasks.workspace.line import read_line, require_line, require_new_number
from tasks.workspace.recorded import read_recorded
from tasks.workspace.retrained import find_retrained
from tasks.workspace.store_files import explain_missing
from tasks.workspace.twins import describe_settled, settle
from tasks.workspace.weights import fetch_weights
from tasks.workspace.workspace import Workspace, open_ledger, require_lease


@task(name="freeze", **TASK_OPTIONS)
def freeze_wave(workspace: Workspace, claim: Claim, retrained: RetrainedFigures | None = None) -> None:
    """Writes `wave/wave.json` and fetches the base from the registry.

    Args:
        workspace: whose wave it is.
        claim: to it.
        retrained: what exact retraining leaves beside a new base; later waves take it from the wave before.
    """
    require_lease(claim)
    root = workspace.root
    require_new_number(workspace, claim.number)
    forgotten = read_line(workspace)
    for line in make_sound(root, dvc.list_outputs(root, dvc.BASE_STAGES)):
        tell(f"  {line}")
    with open_ledger() as ledger:
        subjects = ledger.subjects_of_wave(claim.model, claim.number)
    adopted = read_adopted(root) if claim.number == 0 else None
    parent = adopted.version if adopted is not None and adopted.name == claim.model else None
    champion = find_champion(claim.model, may_be_foreign=parent is not None)
    require_line(root, champion)
    stores = [read_owners(root / path) for path in (TRAIN, CALIBRATION, TEST)]
    require_keys_of_all(stores, forgotten)
    forgetting = settle(
        workspace, name_forgotten(load_secret(root), claim.number, subjects, stores, forgotten), forgotten
    )
    if settled := describe_settled(forgetting):
        tell(f"  {settled}")
    wave = _describe_wave(root, claim, champion, parent, forgetting, forgotten, retrained)
    write_json(root / WAVE, wave)
    write_decisions(root, ())
    dvc.add_file(root, WAVE_BASE)


@dataclass(frozen=True)
class Preview:
    """What the next wave would be about.

    Attributes:
        forgetting: whom and what it would forget.
        forgotten: the waves of the line before it.
        insufficient: why its people are certainly too few to show that they are forgotten; empty if they may suffice.
        plan: the attempts that it would make.
    """

    forgetting: ForgottenWave
    forgotten: list[ForgottenWave]
    insufficient: str
    plan: Plan


def preview_wave(workspace: Workspace) -> Preview:
    """Returns what the next wave would be about; nothing is written.

    It can say for certain that its people are too few for any figure, never that they suffice.

    Raises:
        InputError: the base's files are not at hand.
    """
    root, now = workspace.root, datetime.now(UTC)
    with open_ledger() as ledger:
        status = ledger.count_status(workspace.model, now)
        pending = ledger.list_requests(workspace.model, "pending")
        number = len(ledger.list_waves(workspace.model))
    forgotten = read_line(workspace)
    if missing := explain_missing(root, (TRAIN, CALIBRATION, TEST, AUDIT_LOGITS)):
        raise InputError(missing)
    stores = [read_owners(root / path) for path in (TRAIN, CALIBRATION, TEST)]
    require_keys_of_all(stores, forgotten)
    subjects = [request.subject_id for request in pending]
    forgetting = settle(workspace, name_forgotten(load_secret(root), number, subjects, stores, forgotten), forgotten)
    gone = [sample_id for wave in [*forgotten, forgetting] for sample_id in wave.held_out_ids]
    num_forget, num_non_members = len(forgetting.forget_ids), int((~stores[1].is_among(gone)).sum())
    traceless = explain_traceless(num_forget, num_non_members, workspace.params.gate)
    insufficient = _foresee(root, forgetting, forgotten, stores) or traceless
    able = plan_attempts(
        workspace.params.unlearning,
        workspace.params.gate,
        num_forget=num_forget,
        num_non_members=num_non_members,
        insufficient=insufficient,
        last_night=find_last_night(workspace.params, status.next_due),
        now=now,
    )
    plan, _ = weigh(workspace, able, [*forgotten, forgetting])
    return Preview(forgetting, forgotten, insufficient, plan)


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


def _describe_wave(
    root: Path,
    claim: Claim,
    champion: WaveVersion | None,
    parent: int | None,
    forgetting: ForgottenWave,
    forgotten: list[ForgottenWave],
    retrained: RetrainedFigures | None,
) -> Wave:
    secret = load_secret(root)
    version = parent
    if claim.kind == "base":
        (root / WAVE_BASE).parent.mkdir(exist_ok=True)
        shutil.copyfile(root / BASE_MODEL, root / WAVE_BASE)
    else:
        if champion is None:
            raise AmunError(f"the registry has no champion of {claim.model}; run `amun init` or `amun base rebuild`")
        for line in fetch_weights(root, champion, root / WAVE_BASE, secret):
            tell(f"  {line}")
        version = champion.version
    yardstick, yardstick_wave = (None, None) if claim.kind == "base" else _find_yardstick(root)
    return Wave(
        number=claim.number,
        model=claim.model,
        kind=claim.kind,
        secret_fingerprint=fingerprint(secret),
        base_version=version,
        base_digest=file_digest(secret, root / WAVE_BASE),
        yardstick=yardstick,
        yardstick_wave=yardstick_wave,
        retrained=retrained if claim.kind == "base" else find_retrained(root),
        forgetting=forgetting,
        forgotten=forgotten,
    )


def _find_yardstick(root: Path) -> tuple[float | None, int | None]:
    """Returns the calibration accuracy of the last exactly trained version, and its wave; None where that is not known.

    It is recorded with the last wave. Earlier releases did not record the wave.
    """
    wave = json.loads(read_recorded(root, WAVE))
    if parse_record(UnlearnFigures, read_recorded(root, UNLEARN_METRICS), f"{UNLEARN_METRICS} in HEAD").is_exact:
        audited = parse_record(AuditFigures, read_recorded(root, AUDIT_METRICS), f"{AUDIT_METRICS} in HEAD")
        return audited.accuracy, wave["number"]
    return wave["yardstick"], wave.get("yardstick_wave")


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


@task(name="record-holdings", **TASK_OPTIONS)
def record_holdings(workspace: Workspace, claim: Claim) -> int:
    """Tells the ledger of whom the sample store holds what; returns the number of subjects."""
    holdings = read_holdings(workspace.root)
    with open_ledger() as ledger:
        ledger.record_holdings(claim, holdings, datetime.now(UTC))
    return len(holdings)
