"""Step *freeze*: the files that say what the wave is about, and the base it starts from."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

from prefect import task

from amun.core.errors import AmunError
from amun.core.keys import file_digest, fingerprint, load_secret
from amun.core.paths import (
    AUDIT_METRICS,
    BASE_MODEL,
    CALIBRATION,
    TEST,
    TRAIN,
    UNLEARN_METRICS,
    WAVE,
    WAVE_BASE,
)
from amun.core.stage_names import BASE_STAGES
from amun.evidence.adoption import read_adopted
from amun.evidence.attempts import write_decisions
from amun.evidence.figures import AuditFigures, UnlearnFigures
from amun.evidence.wave import ForgottenWave, RetrainedFigures, Wave, parse_record, write_json
from amun.ledger import Claim
from amun.store.forgetting import name_forgotten
from amun.store.store import read_owners
from tasks.tools import dvc
from tasks.tools.options import TASK_OPTIONS
from tasks.tools.registered import WaveVersion, find_champion
from tasks.tools.sound import make_sound
from tasks.tools.story import tell
from tasks.workspace.holdings import read_holdings
from tasks.workspace.line import read_line, require_line, require_new_number
from tasks.workspace.preview import require_keys_of_all
from tasks.workspace.recorded import read_recorded
from tasks.workspace.retrained import find_retrained
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
    for line in make_sound(root, dvc.list_outputs(root, BASE_STAGES)):
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


@task(name="record-holdings", **TASK_OPTIONS)
def record_holdings(workspace: Workspace, claim: Claim) -> int:
    """Tells the ledger of whom the sample store holds what; returns the number of subjects."""
    holdings = read_holdings(workspace.root)
    with open_ledger() as ledger:
        ledger.record_holdings(claim, holdings, datetime.now(UTC))
    return len(holdings)
