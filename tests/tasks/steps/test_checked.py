"""What a stage reads is looked at before it does, and what a push says it has sent is looked for."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

from amun.core.errors import AmunError, InputError
from amun.core.paths import AUDIT_LOGITS, LEDGER, PARAMS, TRAIN, UNLEARN_METRICS, WAVE
from amun.ledger import Claim
from amun.params import load_params
from tasks.steps.record import find_recorded_commit, push_data, record_wave
from tasks.steps.register import promote_version
from tasks.steps.stages import _reproduce
from tasks.tools.dvc import set_remote
from tasks.tools.environment import LEDGER_VARIABLE, MLFLOW_VARIABLE
from tasks.tools.registered import find_champion, get_registered
from tasks.tools.registry import Registered, open_registry
from tasks.workspace.weights import fetch_weights
from tasks.workspace.workspace import Workspace
from tests.tasks.tools.test_sound import flip
from tests.test_wave import claim_here
from tests.workspaces import Site, list_people

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def workspace(site: Site, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace after its first wave."""
    monkeypatch.setenv(LEDGER_VARIABLE, f"sqlite:///{site.root / LEDGER}")
    return Workspace(site.root, load_params(site.root / PARAMS))


@pytest.fixture
def claim(site: Site) -> Claim:
    """The claim of this process on its second wave."""
    site.run("amun", "request", "add", list_people(site)[1][1])
    return claim_here(site)


def test_stage_reads_nothing_that_is_damaged(
    workspace: Workspace, claim: Claim, capsys: pytest.CaptureFixture[str]
) -> None:
    path = workspace.root / AUDIT_LOGITS
    sound = path.read_bytes()
    flip(path)
    _reproduce.fn(workspace, claim, "audit", "audit", force=False)
    assert path.read_bytes() == sound
    assert capsys.readouterr().out == f"  {AUDIT_LOGITS} is damaged: brought back from the cache\n"


def test_recorded_wave_whose_files_are_others_is_not_taken_for_it(
    workspace: Workspace, claim: Claim, site: Site
) -> None:
    recorded = replace(claim, number=1, resumed=True)
    assert find_recorded_commit(workspace, recorded) == site.git("rev-parse", "wave/0001^{commit}")
    (site.root / UNLEARN_METRICS).write_text("{}", encoding="ascii")
    site.git("commit", "--quiet", "--all", "--message", "by hand")
    with pytest.raises(AmunError, match=f"^{UNLEARN_METRICS} is not what dvc.lock says"):
        find_recorded_commit(workspace, recorded)


def test_wave_whose_files_are_others_is_not_recorded(workspace: Workspace, claim: Claim, site: Site) -> None:
    before = site.git("rev-parse", "HEAD")
    (site.root / UNLEARN_METRICS).write_text("{}", encoding="ascii")
    with pytest.raises(AmunError, match=f"^{UNLEARN_METRICS} is not what dvc.lock says"):
        record_wave.fn(workspace, claim)
    assert site.git("rev-parse", "HEAD") == before


def test_champion_that_somebody_has_set_meanwhile_is_not_replaced(
    workspace: Workspace, claim: Claim, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MLFLOW_VARIABLE, f"sqlite:///{site.root}/.amun/mlflow.db")
    zero = get_registered(workspace.model, 1)
    with pytest.raises(InputError, match="somebody has moved the alias champion since this wave began: it is on ver"):
        promote_version.fn(workspace, replace(claim, number=0), Registered(zero.version, zero.run_id), zero.commit)
    champion = find_champion(workspace.model)
    assert champion is not None
    assert champion.version == 2

    # as if wave 2 had registered that version
    (site.root / WAVE).write_text('{"number": 2}', encoding="ascii")
    site.git("commit", "--quiet", "--all", "--message", "Wave 2")
    commit, client = site.git("rev-parse", "HEAD"), open_registry()
    for tag, value in (("amun.wave", "2"), ("amun.commit", commit)):
        client.set_model_version_tag(workspace.model, "1", tag, value)

    def unset(*arguments: Any) -> list[str]:
        lines = fetch_weights(*arguments)
        client.delete_registered_model_alias(workspace.model, "champion")
        return lines

    monkeypatch.setattr("tasks.steps.register.fetch_weights", unset)
    with pytest.raises(InputError, match="somebody has moved the alias champion since this wave began: it is gone"):
        promote_version.fn(workspace, claim, Registered(1, zero.run_id), commit)
    assert find_champion(workspace.model) is None


def test_push_that_has_sent_nothing_is_none(
    workspace: Workspace, claim: Claim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_remote(workspace.root, str(tmp_path / "remote"))
    with monkeypatch.context() as patch:
        # as DVC does where an object is in neither cache nor remote
        patch.setattr(Repo, "push", lambda *_, **__: 0)
        with pytest.raises(AmunError, match=f"lacks .*{TRAIN}"):
            push_data.fn(workspace, claim)
    assert push_data.fn(workspace, claim)
