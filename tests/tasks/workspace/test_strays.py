"""`git commit --all` after a killed wave: what was no record is found, and taken out of the branch and the remote."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from amun.core.errors import InputError
from amun.core.paths import LEDGER, PARAMS, UNLEARNED, WAVE
from amun.ledger import Ledger
from amun.params import load_params
from tasks.steps.record import clear_away
from tasks.tools import dvc
from tasks.tools.environment import LEDGER_VARIABLE
from tasks.tools.git import list_changed
from tasks.workspace.strays import find_strays, remove_strays
from tasks.workspace.workspace import Workspace
from tests.test_wave import claim_here
from tests.workspaces import MODEL, Site, describe, dump_ledger, list_people, read_tree


def leave_open(site: Site) -> None:
    """Leaves the workspace as a killed run does: the wave is open, its first files are written."""
    site.run("amun", "request", "add", list_people(site)[1][1])
    claim_here(site, lease_seconds=0)
    wave = json.loads((site.root / WAVE).read_text(encoding="utf-8"))
    (site.root / WAVE).write_text(json.dumps(wave | {"number": 2}), encoding="utf-8")
    (site.root / "metrics/audit.json").unlink()


def test_doctor_mends_what_somebody_has_committed_of_a_killed_wave(site: Site, tmp_path: Path) -> None:
    company = tmp_path / "company"
    site.git("init", "--quiet", "--bare", str(company))
    site.git("remote", "add", "company", str(company))
    site.git("config", "amun.remote", "company")
    recorded = site.git("rev-parse", "HEAD")
    leave_open(site)
    (site.root / "README.md").write_text("mine", encoding="utf-8")
    site.git("commit", "--quiet", "--all", "--message", "Mine")
    # an earlier release took that commit for the wave's
    site.git("tag", "wave/0002")
    site.git("push", "--quiet", "company", "HEAD", "wave/0001", "wave/0002")
    committed = site.git("rev-parse", "--short", "HEAD")

    found = site.start("amun", "doctor")
    assert found.returncode == 1, describe(found)
    assert f"commit {committed} has files of a wave that no commit records" in found.stdout
    assert "the tag wave/0002 is on a commit that does not record its wave" in found.stdout
    assert "`amun doctor --fix`" in found.stdout
    assert [version["number"] for version in site.load("model", "list")] == [1, 2]

    ledger = dump_ledger(site)
    mended = site.start("amun", "doctor", "--fix", "--json")
    assert mended.returncode == 0, describe(mended)
    assert [len(json.loads(mended.stdout)[key]) for key in ("mended", "found")] == [1, 0]
    assert list_changed(site.root, recorded, ["."]) == ["README.md"]
    assert site.git("rev-parse", "HEAD~1") == site.git("rev-parse", committed), "the branch only moves forward"
    assert site.git("status", "--porcelain") == ""
    assert site.git("tag").split() == ["wave/0000", "wave/0001"]
    assert "wave/0002" not in site.git("ls-remote", "company")
    assert dump_ledger(site) == ledger


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_failed_wave_leaves_nothing_to_commit(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LEDGER_VARIABLE, f"sqlite:///{site.root / LEDGER}")
    site.run("amun", "request", "add", list_people(site)[1][1])
    before = read_tree(site.root, ".amun", ".git", ".dvc")
    workspace, claim = Workspace(site.root, load_params(site.root / PARAMS)), claim_here(site)
    for path in (WAVE, UNLEARNED):
        (site.root / path).unlink()
        (site.root / path).write_text("half of it", encoding="utf-8")
    (site.root / "metrics/audit.json").unlink()
    lost = replace(claim, token="another run's")  # noqa: S106 - no password
    clear_away(workspace, lost)
    assert (site.root / WAVE).read_text(encoding="utf-8") == "half of it", "the wave is in other hands"
    clear_away(workspace, claim)
    assert read_tree(site.root, ".amun", ".git", ".dvc") == before


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_base_stages_that_somebody_has_committed_thawed_are_frozen_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LEDGER_VARIABLE, f"sqlite:///{site.root / LEDGER}")
    recorded = (site.root / "dvc.yaml").read_bytes()
    dvc.thaw_base(site.root)
    with Ledger(f"sqlite:///{site.root / LEDGER}") as ledger:
        assert not find_strays(site.root, MODEL, ledger), "while a new base is built"
        site.git("commit", "--quiet", "--all", "--message", "Mine")
        strays = find_strays(site.root, MODEL, ledger)
        assert strays.describe().startswith("dvc.yaml has the base stages thawed")
        (site.root / "dvc.yaml").write_bytes((site.root / "dvc.yaml").read_bytes() + b"# mine\n")
        (site.root / WAVE).write_text("of a wave at work", encoding="ascii")
        remove_strays(site.root, strays)
        assert not find_strays(site.root, MODEL, ledger)
        assert f"{site.git('show', 'HEAD:dvc.yaml')}\n".encode() == recorded
        assert (site.root / "dvc.yaml").read_bytes() == recorded + b"# mine\n", "of nobody's commit"
        assert (site.root / WAVE).read_text(encoding="ascii") == "of a wave at work"
        (site.root / "dvc.yaml").write_text("stages: {", encoding="ascii")
        site.git("commit", "--quiet", "--message", "Torn", "dvc.yaml")
        (site.root / "dvc.yaml").write_bytes(recorded)
        with pytest.raises(InputError, match=r"dvc\.yaml at HEAD cannot be read; bring back an earlier one"):
            find_strays(site.root, MODEL, ledger)


def test_doctor_leaves_alone_what_a_run_is_at_work_on(site: Site) -> None:
    site.run("amun", "request", "add", list_people(site)[1][1])
    claim_here(site)
    refused = site.start("amun", "doctor", "--fix")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "wave 2 is being run by" in refused.stderr
