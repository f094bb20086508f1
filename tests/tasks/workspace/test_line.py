"""Whom the champion's line has forgotten: no wave begins where HEAD cannot be read, or knows fewer than the ledger."""

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from amun.core.errors import AmunError, InputError
from amun.core.keys import load_secret, store_secret, subject_key
from amun.core.paths import FORGOTTEN, LEDGER, WAVE
from amun.evidence.wave import ForgottenWave, write_json
from amun.ledger import Ledger
from tasks.steps.base import prepare_base
from tasks.steps.freeze import freeze_wave
from tasks.tools.environment import LEDGER_VARIABLE, MLFLOW_VARIABLE
from tasks.tools.git import run_git
from tasks.workspace.line import read_line
from tasks.workspace.preview import preview_wave
from tasks.workspace.workspace import Workspace
from tests.amun.ledger.helpers import MODEL, NOW, add, build_base, claim_wave, complete_wave
from tests.amun.shipped import PARAMS
from tests.workspaces import read_tree

WAVES = [[], ["ann", "bob"], ["cat"], ["dan"]]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A branch and a ledger with a base and two waves; dan waits, of eve nothing is held."""
    root = tmp_path / "workspace"
    root.mkdir()
    monkeypatch.setenv(LEDGER_VARIABLE, f"sqlite:///{root / LEDGER}")
    monkeypatch.setenv(MLFLOW_VARIABLE, f"sqlite:///{tmp_path}/mlflow.db")
    store_secret(root, "ab" * 32)
    (root / ".gitignore").write_text("/.amun\n", encoding="ascii")
    run_git(root, "init", "--quiet", "--initial-branch", "main")
    with Ledger.create(os.environ[LEDGER_VARIABLE]) as ledger:
        build_base(ledger, [subject for people in WAVES for subject in people])
        record(root, 0)
        add(ledger, "eve")
        for number in (1, 2):
            add(ledger, *WAVES[number])
            complete_wave(ledger, claim_wave(ledger), str(number + 1))
            record(root, number)
        add(ledger, *WAVES[3])
    return Workspace(root, PARAMS)


def record(root: Path, number: int) -> None:
    """Commits what a wave records of itself and of those before it, and tags it."""
    secret = load_secret(root)
    line = [
        ForgottenWave(
            number=each,
            subject_keys=[subject_key(secret, subject) for subject in WAVES[each]],
            forget_ids=[],
            held_out_ids=[],
        )
        for each in range(number + 1)
    ]
    write_json(root / WAVE, {"number": number})
    write_json(root / FORGOTTEN, line)
    commit(root, f"wave {number}")
    run_git(root, "tag", f"wave/{number:04d}")


def commit(root: Path, message: str) -> None:
    run_git(root, "add", "--all")
    run_git(root, "commit", "--quiet", "--message", message)


def freeze(workspace: Workspace) -> None:
    with open_ledger() as ledger:
        claim = claim_wave(ledger, now=datetime.now(UTC))
    freeze_wave.fn(workspace, claim)


def rebuild(workspace: Workspace) -> None:
    with open_ledger() as ledger:
        claim = claim_wave(ledger, "base", now=datetime.now(UTC))
    prepare_base.fn(workspace, claim)


def open_ledger() -> Ledger:
    return Ledger(os.environ[LEDGER_VARIABLE])


def damage_object(root: Path) -> None:
    digest = run_git(root, "rev-parse", f"HEAD:{FORGOTTEN}")
    path = root / ".git/objects" / digest[:2] / digest[2:]
    path.chmod(0o644)
    path.write_bytes(b"not what git wrote")


def lose(root: Path) -> None:
    (root / FORGOTTEN).unlink()
    commit(root, "Tidied up")


def shorten(root: Path) -> None:
    run_git(root, "checkout", "--quiet", "wave/0001", "--", str(FORGOTTEN))
    commit(root, "Merged")


def tear(root: Path) -> None:
    path = root / FORGOTTEN
    path.write_text(path.read_text(encoding="utf-8")[:-20], encoding="utf-8")
    commit(root, "Merged")


def go_back(root: Path) -> None:
    run_git(root, "reset", "--quiet", "--hard", "wave/0001")


def lose_all(root: Path) -> None:
    shutil.rmtree(root / WAVE.parent)
    commit(root, "Tidied up")


HARMS: dict[Callable[[Path], None], tuple[type[AmunError], str]] = {
    damage_object: (AmunError, r"wave/forgotten.json at HEAD cannot be read: git cat-file failed in .*; `git fsck`"),
    tear: (AmunError, r"wave/forgotten.json at HEAD of .* is damaged \(1 finding\); restore it from git"),
    lose: (InputError, r"records wave 2, but not wave/forgotten.json.*`git checkout wave/0002 -- wave/forgotten.json`"),
    shorten: (InputError, r"lacks 1 person whom the ledger has as forgotten by wave 2 .*`git checkout wave/0002 --"),
    go_back: (InputError, r"lacks 1 person whom the ledger has as forgotten by wave 2 .*check out the waves' branch"),
    lose_all: (InputError, r"lacks 3 people whom the ledger has as forgotten by wave 1, 2 .*`git checkout wave/0002"),
}


def test_line_that_is_whole_is_read_and_only_from_head(workspace: Workspace) -> None:
    (workspace.root / FORGOTTEN).write_text("[]", encoding="ascii")
    assert [len(wave.subject_keys) for wave in read_line(workspace)] == [0, 2, 1]


def test_nobody_is_forgotten_before_the_first_wave(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LEDGER_VARIABLE, f"sqlite:///{workspace.root / '.amun/new.db'}")
    with Ledger.create(os.environ[LEDGER_VARIABLE]) as ledger:
        ledger.register_model(MODEL)
    lose_all(workspace.root)
    assert read_line(workspace) == []


@pytest.mark.parametrize("begin", [freeze, rebuild, preview_wave])
@pytest.mark.parametrize("harm", HARMS)
def test_no_wave_begins_on_a_line_that_is_not_whole(
    harm: Callable[[Path], None], begin: Callable[[Workspace], object], workspace: Workspace
) -> None:
    harm(workspace.root)
    before = read_tree(workspace.root, ".amun", ".git")
    kind, words = HARMS[harm]
    with pytest.raises(AmunError, match=words) as error:
        begin(workspace)
    assert type(error.value) is kind
    assert "\n" not in str(error.value)
    assert read_tree(workspace.root, ".amun", ".git") == before


@pytest.mark.parametrize("command", ["ls-tree", "cat-file"])
@pytest.mark.parametrize("begin", [freeze, rebuild, preview_wave])
def test_no_wave_begins_where_git_is_killed_while_it_reads_the_line(
    begin: Callable[[Workspace], object],
    command: str,
    workspace: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blob = run_git(workspace.root, "rev-parse", f"HEAD:{FORGOTTEN}")
    real = shutil.which("git")
    (tmp_path / "git").write_text(
        f'#!/bin/sh\ncase "$*" in *{command}*{FORGOTTEN}|*{command}*{blob}) kill -9 $$;; esac\nexec {real} "$@"\n',
        encoding="ascii",
    )
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(AmunError, match=f"{FORGOTTEN} at HEAD cannot be read: git {command} .* killed by signal 9"):
        begin(workspace)
    monkeypatch.undo()
    assert run_git(workspace.root, "status", "--porcelain") == ""


def test_undone_wave_and_people_of_other_models_are_no_part_of_the_line(workspace: Workspace) -> None:
    later = datetime.now(UTC)
    with open_ledger() as ledger:
        build_base(ledger, ["fay"], "another")
        add(ledger, "fay")
        complete_wave(ledger, claim_wave(ledger, model="another"), "2")
        begun = ledger.begin_rollback(
            MODEL, from_version="3", to_version="2", undone_waves=[2], reason="bad", holder="me", now=later
        )
        assert begun == 3
        go_back(workspace.root)
        assert [wave.number for wave in read_line(workspace)] == [0, 1], "undone, its requests not open again yet"
        ledger.finish_rollback(claim_wave(ledger, now=later), [], later)
        assert [wave.number for wave in read_line(workspace)] == [0, 1]
        assert ledger.subjects_forgotten(MODEL) == {"ann": 1, "bob": 1}


def test_new_base_forgets_nobody_and_keeps_the_line(workspace: Workspace) -> None:
    with open_ledger() as ledger:
        complete_wave(ledger, claim_wave(ledger, "base", now=NOW), "4")
    run_git(workspace.root, "commit", "--quiet", "--allow-empty", "--message", "wave 3")
    assert [wave.number for wave in read_line(workspace)] == [0, 1, 2]
