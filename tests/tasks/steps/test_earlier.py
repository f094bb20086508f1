"""People of earlier waves on a real model: one that remembers them is refused, one that never had them is not."""

from contextlib import chdir, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from amun.core.errors import AmunError
from amun.core.paths import (
    AUDIT_INCLUSION,
    AUDIT_LOGITS,
    BASE_MODEL,
    DECISIONS,
    FORGOTTEN,
    PARAMS,
    POWER_METRICS,
    TRAIN,
    UNLEARN_METRICS,
    UNLEARNED,
    WAVE,
)
from amun.evidence.attempts import Judged, read_decisions, write_decisions
from amun.evidence.earlier import EarlierFigures
from amun.evidence.figures import UnlearnFigures
from amun.evidence.wave import ForgottenWave, Wave, parse_record, read_wave, write_json
from amun.params import load_params
from amun.stages.earlier import look_at_earlier as print_earlier
from amun.stages.train import train
from amun.store.samples import read_samples, write_samples
from amun.vault.seal import Seal
from amun.vault.vault import open_vault
from tasks.steps import earlier
from tasks.steps.earlier import look_at_earlier
from tasks.tools.dvc import LOCK_FILE
from tasks.tools.git import commit_paths, run_git
from tasks.workspace.looks import read_looks
from tasks.workspace.recorded import sign
from tasks.workspace.workspace import Workspace
from tests.amun.sealing import destroy_keys, make_vault
from tests.amun.selftest.conftest import write_store
from tests.amun.shipped import ROOT

CPU = torch.device("cpu")
NUM_EARLIER = 40  # people; each has two samples
NUM_ERASED = 5
BASE_MEMORY = 0.4  # the made up references are surer of what they had than a base of a few epochs
PASSED = Judged(attempt=1, method="never_seen", passed=True, reason="memory left 0.1")
POWER = {"num_people": 20, "num_samples": 40, "num_held_out_people": 60, "num_held_out_samples": 120}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A wave at its end in a sealed workspace. Of the people of the wave before some are erased.

    `models/base.safetensors` has learned all of them by heart, `wave/unlearned.safetensors` nobody of an earlier wave.
    """
    root = tmp_path_factory.mktemp("workspace")
    content = yaml.safe_load((ROOT / PARAMS).read_text(encoding="utf-8"))
    content["model"]["options"] = {"channels": [16, 16]}
    content["training"]["epochs"] = 60
    (root / PARAMS).write_text(yaml.safe_dump(content), encoding="utf-8")
    params = load_params(root / PARAMS)
    with chdir(root):
        make_vault(root)
        write_store()
        write_json(FORGOTTEN, [])
        everybody = read_samples(TRAIN)
        ids, people = everybody.sample_ids.tolist(), everybody.subject_ids.tolist()
        write_samples(TRAIN, everybody.select(np.arange(len(everybody)) >= 2 * NUM_EARLIER), seal=None)
        train(params, CPU)
        BASE_MODEL.rename(make_folder(UNLEARNED))
        write_samples(TRAIN, everybody, seal=None)
        train(params, CPU)
        for path in (TRAIN, AUDIT_LOGITS, AUDIT_INCLUSION):
            write_samples(path, read_samples(path), Seal(open_vault(root), "test"))
        destroy_keys(root, people[: 2 * NUM_ERASED])
        record_first_wave(root)
        write_wave(ids)
    return Workspace(root, params)


def make_folder(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    return path


def record_first_wave(root: Path) -> None:
    """Commits what the wave before has on record, as the pipeline does."""
    run_git(root, "init", "--quiet", "--initial-branch", "main")
    write_json(root / WAVE, {"number": 1})
    write_json(root / POWER_METRICS, {**POWER, "num_references": 8, "base_memory": BASE_MEMORY, "power": 0.9})
    write_decisions(root, (PASSED,))
    (root / LOCK_FILE).write_text("stages: {}\n", encoding="ascii")
    commit_paths(root, [str(path) for path in (WAVE, POWER_METRICS, DECISIONS, LOCK_FILE)], sign(root, "wave 1", 1))


def write_wave(ids: list[str]) -> None:
    """Writes what is known of the second wave once its report is written."""
    first, second = (
        ForgottenWave(number=number, subject_keys=[], forget_ids=forget_ids, held_out_ids=[])
        for number, forget_ids in ((1, ids[: 2 * NUM_EARLIER]), (2, ids[2 * NUM_EARLIER :][:40]))
    )
    wave = Wave(
        number=2,
        model="digits",
        kind="deletion",
        secret_fingerprint="",
        base_version=2,
        base_digest="",
        yardstick=None,
        forgetting=second,
        forgotten=[first],
    )
    write_json(WAVE, wave)
    write_json(POWER_METRICS, {**POWER, "num_references": 8, "base_memory": 2 * BASE_MEMORY, "power": 0.9})


def look(workspace: Workspace, *, is_exact: bool = False) -> str:
    """Looks at the model of attempt 1; returns why it is refused, if it is."""
    figures = UnlearnFigures(attempt=1, method=PASSED.method, is_exact=is_exact)
    write_json(workspace.root / UNLEARN_METRICS, figures)
    write_decisions(workspace.root, (PASSED,))
    with chdir(workspace.root):  # where the key store is looked for
        refused: str = look_at_earlier.fn(workspace, 1)
    return refused


def test_a_model_that_never_had_them_remembers_nothing_and_the_erased_are_not_looked_at(workspace: Workspace) -> None:
    with chdir(workspace.root), redirect_stdout(StringIO()) as printed:
        print_earlier(workspace.params, CPU, 0, BASE_MEMORY)
    found = parse_record(EarlierFigures, printed.getvalue(), "what is printed")
    assert (found.num_people, found.num_held) == (NUM_EARLIER - NUM_ERASED,) * 2
    assert found.memory_left is not None
    assert abs(found.memory_left) < 0.5
    assert found.memory_left_lower is not None
    assert found.memory_left_lower < found.memory_left
    assert not found.brings_back


def test_a_model_that_remembers_them_is_refused(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    forgetting = (workspace.root / UNLEARNED).read_bytes()
    (workspace.root / UNLEARNED).write_bytes((workspace.root / BASE_MODEL).read_bytes())
    try:
        refused = look(workspace)
    finally:
        (workspace.root / UNLEARNED).write_bytes(forgetting)
    (made,) = read_decisions(workspace.root)
    assert made.earlier is not None
    assert made.earlier.brings_back
    told = made.earlier.describe()
    assert refused == f"it brings people of earlier waves back: {told}, shown to be more than 0.5"
    assert capsys.readouterr().out == f"  earlier waves: {told}\n"


def test_of_a_model_that_was_retrained_exactly_nothing_is_asked(workspace: Workspace) -> None:
    assert look(workspace, is_exact=True) == ""
    (made,) = read_decisions(workspace.root)
    assert made.earlier is None
    assert "earlier" not in made.model_dump()


@pytest.mark.parametrize(("limit", "reason"), [(0, None), (3, "3 people with 6 samples, beside ")])
def test_so_few_people_are_not_told_of(limit: int, reason: str | None, workspace: Workspace) -> None:
    audit = workspace.params.audit.model_copy(update={"earlier_people": limit})
    few = replace(workspace, params=workspace.params.model_copy(update={"audit": audit}))
    assert look(few) == ""
    (made,) = read_decisions(workspace.root)
    if reason is None:
        assert made.earlier is None
        return
    assert made.earlier is not None
    assert made.earlier.memory_left is None
    assert made.earlier.not_computed.startswith(reason)


def test_what_earlier_nights_have_shown_stands_in_git(workspace: Workspace) -> None:
    wave, measured = read_wave(workspace.root), EarlierFigures(num_people=40, num_held=40, memory_left=0.1)
    looks = read_looks(workspace.root, wave)
    assert looks.turn == 0, "the first wave has looked at nobody"
    assert looks.nights[1].base_memory == BASE_MEMORY
    write_decisions(workspace.root, (PASSED.model_copy(update={"earlier": measured}),))
    assert read_looks(workspace.root, wave) == looks, "an attempt of a wave that is not recorded is no turn"
    commit_paths(workspace.root, [str(WAVE), str(DECISIONS)], sign(workspace.root, "wave 2", 2))
    later = wave.model_copy(update={"number": 9, "forgotten": [*wave.forgotten, wave.forgetting]})
    assert read_looks(workspace.root, later).turn == 1
    digest = run_git(workspace.root, "rev-parse", f"HEAD:{DECISIONS}")
    (workspace.root / ".git/objects" / digest[:2] / digest[2:]).unlink()
    with pytest.raises(AmunError, match=f"git has lost .*{DECISIONS}"):
        read_looks(workspace.root, later)


def test_a_program_that_has_looked_at_others_is_not_believed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = EarlierFigures(num_people=NUM_EARLIER - 1, num_held=NUM_EARLIER).model_dump_json()
    monkeypatch.setattr(earlier, "run_program", lambda *_, **__: others)
    with pytest.raises(AmunError, match="their files have changed meanwhile"):
        look(workspace)
