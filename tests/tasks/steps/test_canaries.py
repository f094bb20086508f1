"""A night of three people on a real model: with canaries it shows something, and whoever asks is none."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from amun.audit.decision import Decision, decide
from amun.audit.night import NightPower, read_night
from amun.core.keys import load_secret, subject_key
from amun.core.params import Params
from amun.core.paths import (
    ADVERSARIAL_METRICS,
    ATTEMPT,
    AUDIT_METRICS,
    BASE_MODEL,
    CALIBRATION,
    CONFIDENCE,
    FORGOTTEN,
    PARAMS,
    POWER_METRICS,
    REPORT_METRICS,
    ROC,
    TEST,
    TRAIN,
    TRAIN_METRICS,
    UNLEARN_METRICS,
    UNLEARNED,
    WAVE,
    WAVE_BASE,
)
from amun.evidence.figures import AuditFigures, ReportFigures, UnlearnFigures, read_figures
from amun.evidence.wave import Attempt, ForgottenWave, Wave, parse_record, read_wave, write_json
from amun.evidence.worst import Worst
from amun.ledger import Claim, Ledger
from amun.params import load_params
from amun.stages.adversarial import build_adversarial_set
from amun.stages.audit import audit
from amun.stages.canaries import choose_canaries
from amun.stages.power import measure_power
from amun.stages.report import report
from amun.stages.train import train
from amun.stages.worst import find_worst
from amun.store.forgetting import name_forgotten
from amun.store.samples import read_samples, write_samples
from amun.store.store import read_owners
from tasks.steps.canaries import take_canaries
from tasks.tools.environment import LEDGER_VARIABLE
from tasks.tools.git import commit_paths, run_git
from tasks.workspace.workspace import Workspace
from tests.amun.ledger.helpers import add, build_base, claim_wave
from tests.amun.sealing import make_vault
from tests.amun.selftest.conftest import write_store
from tests.amun.shipped import ROOT

CPU = torch.device("cpu")
ASKED = ["person-000", "person-001", "person-002"]
NAMED = [f"person-{number:03}" for number in (2, *range(20, 60), 90)]  # one has asked, one was never trained on
POOL = NAMED[1:-1]
LATER = POOL[-1]  # asks while the night is on
MOST = 30
WRITTEN = (POWER_METRICS, ADVERSARIAL_METRICS, AUDIT_METRICS, REPORT_METRICS, ROC, CONFIDENCE)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A wave that is frozen, in a workspace whose base has learned labels by heart that nobody could guess."""
    root = tmp_path_factory.mktemp("workspace")
    content = yaml.safe_load((ROOT / PARAMS).read_text(encoding="utf-8"))
    content["model"]["options"] = {"channels": [16, 16]}
    content["training"]["epochs"] = 80
    content["unlearning"]["epochs"] = 20
    content["data"]["canaries"] = "canaries.txt"
    content["audit"]["canaries"] = MOST
    content["gate"].update(max_accuracy_drop=0.2, auc_margin=0.2, max_trace=None)
    (root / PARAMS).write_text(yaml.safe_dump(content), encoding="utf-8")
    (root / "canaries.txt").write_text("\n".join(NAMED), encoding="utf-8")
    run_git(root, "init", "--quiet", "--initial-branch", "main")
    commit_paths(root, [str(PARAMS)], "a workspace")
    params = load_params(root / PARAMS)
    with chdir(root), pytest.MonkeyPatch.context() as patch:
        patch.setenv(LEDGER_VARIABLE, f"sqlite:///{root / 'ledger.db'}")
        make_vault(root)
        write_store()
        write_json(FORGOTTEN, [])
        train(params, CPU)
        shutil.copyfile(BASE_MODEL, WAVE_BASE)
        yield Workspace(root, params)


@pytest.fixture(scope="module")
def claim(workspace: Workspace) -> Claim:
    """The wave in the ledger, of three people; somebody of the pool has asked since."""
    now = datetime.now(UTC)
    with Ledger.create(os.environ[LEDGER_VARIABLE]) as ledger:
        build_base(ledger, [*ASKED, *POOL], workspace.model)
        add(ledger, *ASKED, now=now)
        claim = claim_wave(ledger, model=workspace.model, now=now)
        add(ledger, LATER, now=now)
    return claim


def take(workspace: Workspace, claim: Claim, params: Params | None = None) -> str:
    """Takes canaries, and returns what is told of it."""
    with redirect_stdout(StringIO()) as told:
        take_canaries.fn(Workspace(workspace.root, params or workspace.params), claim)
    return told.getvalue()


@pytest.fixture(scope="module")
def taken(workspace: Workspace, claim: Claim) -> tuple[str, str]:
    """What is told where canaries are taken, and the wave with them."""
    with chdir(workspace.root):
        freeze(*ASKED)
        return take(workspace, claim), WAVE.read_text(encoding="utf-8")


@pytest.fixture
def night(workspace: Workspace, taken: tuple[str, str]) -> Iterator[str]:
    """Writes the wave with its canaries; what is told of them."""
    with chdir(workspace.root):
        told, wave = taken
        WAVE.write_text(wave, encoding="utf-8")
        yield told


def freeze(*asked: str, forgotten: tuple[ForgottenWave, ...] = ()) -> None:
    """Writes a wave that these people have asked for."""
    stores = [read_owners(path) for path in (TRAIN, CALIBRATION, TEST)]
    wave = Wave(
        number=2,
        model="digits",
        kind="deletion",
        secret_fingerprint="",
        base_version=1,
        base_digest="",
        yardstick=json.loads(TRAIN_METRICS.read_text(encoding="utf-8"))["calibration_accuracy"],
        yardstick_wave=0,
        forgetting=name_forgotten(load_secret(Path()), 2, list(asked), stores, list(forgotten)),
        forgotten=list(forgotten),
    )
    write_json(WAVE, wave)


def list_canaries() -> list[str]:
    """Returns who is a canary of the wave, by whose samples are."""
    train = read_owners(TRAIN)
    names: list[str] = np.unique(train.subject_ids[train.is_among(read_wave().forgetting.canary_ids)]).tolist()
    return names


def change(params: Params, **audit: int) -> Params:
    return params.model_copy(update={"audit": params.audit.model_copy(update=audit)})


def test_a_small_night_takes_as_few_as_it_needs(night: str, workspace: Workspace) -> None:
    wave, canaries = read_wave(), list_canaries()
    assert (
        night
        == f"  forgotten along so that the run can be judged: {len(canaries)} canaries, {39 - len(canaries)} left\n"
    )
    assert 12 <= len(canaries) < MOST
    assert set(canaries) <= set(POOL) - {LATER}
    secret = load_secret(Path())
    assert wave.forgetting.canary_keys == sorted(subject_key(secret, person) for person in canaries)
    assert wave.forgetting.subject_keys == sorted(subject_key(secret, person) for person in ASKED)
    assert len(wave.forget_ids) == 2 * (3 + len(canaries)) == len(set(wave.forget_ids))
    measure_power(workspace.params, CPU)
    assert read_night().insufficient == ""
    assert read_night().num_canaries == len(canaries)
    freeze(*ASKED)
    measure_power(workspace.params, CPU)
    assert "3 people with 6 samples" in read_night().insufficient
    again = choose_canaries(workspace.params, CPU, read_wave(), [person for person in POOL if person != LATER])
    assert again == canaries, "a killed night takes the same"


def test_a_picture_that_went_with_somebody_else_is_not_asked_for(workspace: Workspace) -> None:
    train = read_owners(workspace.root / TRAIN)
    others = np.isin(train.subject_ids, [f"person-{number:03}" for number in range(61, 80)])
    gone = train.sample_ids[others][::2].tolist()
    earlier = ForgottenWave(number=1, subject_keys=[], forget_ids=gone, held_out_ids=[], twin_ids=gone)
    with chdir(workspace.root):
        freeze(*ASKED, forgotten=(earlier,))
        assert len(choose_canaries(workspace.params, CPU, read_wave(), POOL)) >= 12


def test_none_are_used_up_where_the_night_may_wait_or_nobody_can_be_taken(
    workspace: Workspace, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace.root)
    freeze(*ASKED)
    waits = workspace.params.gate.model_copy(update={"insufficient": "wait", "wait_days": 1})
    assert take(workspace, claim, workspace.params.model_copy(update={"gate": waits})) == ""
    missing = workspace.params.data.model_copy(update={"canaries": "nobody.txt"})
    told = take(workspace, claim, workspace.params.model_copy(update={"data": missing}))
    assert told.startswith("  no canaries: params.yaml: data.canaries: ")
    assert "nobody.txt cannot be read as text" in told
    # a night that is full would not grow: it does not wait, and looks for canaries
    full = workspace.params.wave.model_copy(update={"max_requests": len(ASKED)})
    bounded = workspace.params.model_copy(update={"gate": waits, "data": missing, "wave": full})
    assert take(workspace, claim, bounded) == told
    assert not read_wave().forgetting.canary_ids


def judge(workspace: Workspace) -> tuple[Decision, AuditFigures, NightPower]:
    audit(workspace.params, CPU)
    write_json(UNLEARN_METRICS, UnlearnFigures(attempt=1, method="never_seen", is_exact=False))
    figures, tonight = read_figures(AuditFigures), read_night()
    return (
        decide(read_figures(UnlearnFigures), tonight, figures, read_wave().yardstick, workspace.params.gate),
        figures,
        tonight,
    )


def test_the_run_is_judged_by_all_and_those_who_asked_by_canaries(night: str, workspace: Workspace) -> None:
    assert night
    write_json(ATTEMPT, Attempt(attempt=1))
    measure_power(workspace.params, CPU)
    build_adversarial_set(workspace.params, CPU)
    train_without(workspace, read_wave().forget_ids)
    decision, figures, _ = judge(workspace)
    # these references are made up: an alarm that looks at people by what they are sure of says nothing here
    assert figures.bounds is not None
    assert max(figures.bounds) < workspace.params.gate.max_memory_left
    assert figures.is_apart is False
    assert "those who asked look more remembered" not in decision.reason
    assert figures.num_standing_out is None, "it would be said of three people"
    with redirect_stdout(StringIO()) as printed:
        find_worst(workspace.params, CPU)
    worst = parse_record(Worst, printed.getvalue(), "what is printed")
    assert worst.num_people == 3
    assert {person.subject_id for person in worst.people} == set(ASKED)

    # the canaries are forgotten, and those who asked are left as they were
    train_without(workspace, read_wave().forgetting.canary_ids)
    decision, figures, tonight = judge(workspace)
    assert not decision.passed
    assert figures.is_apart
    assert "those who asked look more remembered than canaries" in decision.reason
    assert tonight.power_asked is not None
    assert tonight.power_asked > 0.8
    assert f"in {tonight.power_asked:.0%} of such nights" not in decision.reason

    shutil.copyfile(WAVE_BASE, UNLEARNED)
    assert not judge(workspace)[0].passed


@pytest.mark.usefixtures("night")
def test_no_figure_tells_of_whoever_asked(workspace: Workspace) -> None:
    """Whoever knows the canaries, and the model, could take them off a figure of all."""
    write_json(ATTEMPT, Attempt(attempt=1))
    shutil.copyfile(WAVE_BASE, UNLEARNED)
    write_json(UNLEARN_METRICS, UnlearnFigures(attempt=1, method="never_seen", is_exact=False))

    def compute() -> dict[Path, bytes]:
        for stage in (measure_power, build_adversarial_set, audit, report):
            stage(workspace.params, CPU)
        return {path: path.read_bytes() for path in WRITTEN}

    told, everybody = compute(), read_samples(TRAIN)
    # less this one's, the last report's histogram would be that of those who asked and of canaries, who are known
    confidence = CONFIDENCE.read_text(encoding="utf-8").splitlines()
    assert {line.split(",")[confidence[0].split(",").index("remain_before")] for line in confidence[1:]} == {""}
    assert read_figures(ReportFigures).ft_auc is not None
    is_asked = torch.from_numpy(np.isin(everybody.subject_ids, ASKED))
    noise = torch.randint(256, everybody.payloads.shape, generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    payloads = torch.where(is_asked[:, None, None, None], noise, everybody.payloads)
    write_samples(TRAIN, replace(everybody, payloads=payloads), seal=None)
    try:
        assert compute() == told
    finally:
        write_samples(TRAIN, everybody, seal=None)


def train_without(workspace: Workspace, sample_ids: list[str]) -> None:
    """Writes a model that was trained on all but these samples as the unlearned one."""
    everybody = read_samples(TRAIN)
    base = BASE_MODEL.read_bytes()
    write_samples(TRAIN, everybody.select(~everybody.is_among(sample_ids)), seal=None)
    try:
        train(workspace.params, CPU)
        shutil.copyfile(BASE_MODEL, UNLEARNED)
    finally:
        write_samples(TRAIN, everybody, seal=None)
        BASE_MODEL.write_bytes(base)
