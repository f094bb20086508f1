"""What a clone knows of the waves where tags or commits were not fetched, or the ledger is an old one."""

from dataclasses import replace
from pathlib import Path

import pytest

from amun.core.errors import AmunError, InputError
from amun.core.params import read_params
from amun.core.paths import PARAMS, WAVE
from amun.ledger import Ledger
from tasks.tools.environment import LEDGER_VARIABLE
from tasks.tools.git import run_git
from tasks.tools.registered import WaveVersion
from tasks.workspace.faults import _check_tags
from tasks.workspace.history import (
    find_recorded_wave,
    find_wave_before,
    find_wave_commit,
    require_commit,
    require_history,
)
from tasks.workspace.line import require_new_number, require_unmoved
from tasks.workspace.workspace import Workspace
from tests.amun.ledger.helpers import claim_wave, complete_wave
from tests.amun.shipped import PARAMS as PARAMS_SHIPPED
from tests.workspaces import Site


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A repository with two commits of the project, three waves and somebody's own commit on top."""
    root = tmp_path / "origin"
    (root / WAVE).parent.mkdir(parents=True)
    run_git(root, "init", "--quiet", "--initial-branch", "main")
    for number in (None, None, 0, 1, 2, None):
        if number is not None:
            (root / WAVE).write_text(f'{{"number": {number}}}', encoding="ascii")
            run_git(root, "add", "--", str(WAVE))
        run_git(root, "commit", "--quiet", "--allow-empty", "--message", "some commit")
    return root


def clone(origin: Path, *options: str) -> Path:
    """Returns a new clone without tags."""
    root = origin.parent / "clone"
    run_git(origin, "clone", "--quiet", "--no-tags", *options, f"file://{origin}", str(root))
    return root


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_history_cut_among_the_waves_is_refused(depth: int, origin: Path) -> None:
    root = clone(origin, f"--depth={depth}")
    assert find_recorded_wave(root) == 2
    with pytest.raises(InputError, match=r"shallow clone.*`git fetch --unshallow --tags`"):
        require_history(root)
    run_git(root, "fetch", "--quiet", "--unshallow", "--tags")
    require_history(root)


@pytest.mark.parametrize("options", [(), ("--depth=5",)])
def test_history_cut_before_the_waves_or_nowhere_is_taken(options: tuple[str, ...], origin: Path) -> None:
    require_history(clone(origin, *options))


def test_shallow_clone_before_any_wave_may_become_a_workspace(origin: Path) -> None:
    run_git(origin, "branch", "project", "main~4")
    root = clone(origin, "--depth=1", "--branch", "project")
    assert find_recorded_wave(root) is None
    require_history(root)


def test_missing_commit_is_named_with_what_brings_it(origin: Path) -> None:
    newest = run_git(origin, "rev-parse", "HEAD")
    root = clone(origin)
    run_git(origin, "commit", "--quiet", "--allow-empty", "--message", "later")
    require_commit(root, newest, "wave 2")
    with pytest.raises(InputError, match=r"wave 3: its commit .* is not in .*; `git pull` brings it"):
        require_commit(root, run_git(origin, "rev-parse", "HEAD"), "wave 3")


def test_number_that_a_wave_has_had_is_refused_without_tags(
    wave_one: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{wave_one.root}/.amun/mlflow.db")
    run_git(wave_one.root, "clone", "--quiet", "--no-tags", str(wave_one.root), str(tmp_path / "clone"))
    workspace = Workspace(tmp_path / "clone", read_params(tmp_path / "clone" / PARAMS))
    name = workspace.params.model.model_copy(update={"name": "unregistered"})
    of_git_alone = replace(workspace, params=workspace.params.model_copy(update={"model": name}))
    for known in (workspace, of_git_alone):
        require_new_number(known, 2)
        with pytest.raises(InputError, match=r"wave 1 exists already, .* at wave 0; was the ledger restored"):
            require_new_number(known, 0)
    # the branch is behind as well: the registry still knows
    run_git(workspace.root, "reset", "--quiet", "--hard", "HEAD~1")
    require_new_number(of_git_alone, 1)
    with pytest.raises(InputError, match="wave 1 exists already"):
        require_new_number(workspace, 1)


def test_commit_of_a_wave_is_the_ledgers_whatever_a_tag_says(
    origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(LEDGER_VARIABLE, f"sqlite:///{tmp_path}/ledger.db")
    recorded, other = (run_git(origin, "rev-parse", f"HEAD~{number}") for number in (3, 1))
    run_git(origin, "tag", "wave/0000", other)
    workspace = Workspace(origin, PARAMS_SHIPPED)
    assert find_wave_commit(workspace, 0) == other, "a joined clone without the ledger has the tag alone"
    with Ledger.create(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        ledger.register_model(workspace.model)
        claim = claim_wave(ledger, "base", model=workspace.model)
        assert find_wave_commit(workspace, 0) == other
        complete_wave(ledger, claim, commit=recorded)
    assert find_wave_commit(workspace, 0) == recorded
    (fault,) = _check_tags(workspace)
    assert fault.what == f"the tag wave/0000 is on commit {other[:12]}, and wave 0 is recorded in {recorded[:12]}"
    assert f"`git tag --force wave/0000 {recorded}`" in fault.remedy
    run_git(origin, "tag", "--force", "wave/0000", recorded)
    assert list(_check_tags(workspace)) == []
    assert capsys.readouterr().err == ""
    (tmp_path / "ledger.db").write_bytes(b"no database" * 100)
    assert find_wave_commit(workspace, 0) == recorded
    assert capsys.readouterr().err.endswith("; wave 0 is taken from the tag wave/0000\n")
    with pytest.raises(AmunError, match="does not answer or refuses"):
        find_wave_commit(workspace, 1)


def test_version_takes_the_place_of_the_champion_that_its_wave_began_from_alone(origin: Path) -> None:
    commits = [run_git(origin, "rev-parse", f"HEAD~{number}") for number in (3, 2, 1)]
    versions = [WaveVersion(number + 1, "run", "digest", number, commit) for number, commit in enumerate(commits)]
    require_unmoved(origin, None, 1, commits[0])
    require_unmoved(origin, versions[0], 2, commits[1])
    require_unmoved(origin, versions[1], 2, commits[1])  # a killed run had got so far
    for champion in (versions[0], replace(versions[1], commit="f" * 40)):
        with pytest.raises(InputError, match=rf"it is on version {champion.version}, and was on the version of wave 1"):
            require_unmoved(origin, champion, 3, commits[2])
    with pytest.raises(InputError, match="it is gone, and was on the version of wave 1; set it back"):
        require_unmoved(origin, None, 3, commits[2])


def test_wave_whose_files_somebody_has_committed_while_it_ran_is_ended(origin: Path) -> None:
    commits = [run_git(origin, "rev-parse", f"HEAD~{number}") for number in (3, 2, 1)]
    champion = WaveVersion(3, "run", "digest", 2, commits[2])
    for number in (0, 3):
        root = origin if number else clone(origin)
        if not number:
            run_git(root, "reset", "--quiet", "--hard", f"{commits[0]}~1")
            (root / WAVE).parent.mkdir(exist_ok=True)
        for content in ("", " "):
            (root / WAVE).write_text(f'{{"number": {number}}}{content}', encoding="ascii")
            run_git(root, "add", "--", str(WAVE))
            run_git(root, "commit", "--quiet", "--message", "somebody's, then the wave's own")
        require_unmoved(root, champion if number else None, 4, run_git(root, "rev-parse", "HEAD"))
        assert find_wave_before(root, "HEAD") == (2 if number else None)
        with pytest.raises(InputError, match=r"and was (not there|on the version of wave 2); set it back"):
            require_unmoved(root, replace(champion, wave=1), 4, run_git(root, "rev-parse", "HEAD"))
