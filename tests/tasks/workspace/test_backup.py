"""What a backup says and where it may lie, and what is brought back of it, in a workspace of no models."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from amun.core.errors import AmunError, InputError
from amun.core.keys import SECRET_VARIABLE, fingerprint, load_secret
from amun.core.paths import KEK, KEYS, LEDGER, RECEIPT_KEY, REGISTRY, RESTORING, SECRET, STATE, WAVE
from amun.evidence.receipt import Draft, Held
from amun.evidence.wave import write_json
from amun.ledger import Ledger
from amun.vault.database import KEYS_VARIABLE
from amun.vault.kek import KEK_VARIABLE, KekFile, read_kek
from amun.vault.rotation import rotate_kek
from amun.vault.vault import create_vault, open_vault
from tasks.tools.environment import LEDGER_VARIABLE, MLFLOW_VARIABLE, name_database
from tasks.tools.git import run_git
from tasks.tools.sqlite_files import _ADDRESSES
from tasks.workspace import restore
from tasks.workspace.backup import Taken, take_backup
from tasks.workspace.backup_age import tell_outdated
from tasks.workspace.backup_archive import About, read_archive, write_archive
from tasks.workspace.restore import Restored, restore_backup
from tasks.workspace.workspace import Workspace, open_workspace
from tests.amun.ledger.helpers import MODEL, add, claim_wave, complete_wave
from tests.flows.cli.test_requests import PEOPLE, ledger

__all__ = ["ledger"]


@pytest.fixture
def workspace(ledger: Ledger, tmp_path: Path) -> Workspace:
    """The workspace in the current folder, whose base is recorded."""
    assert ledger.name
    create_vault()
    record(Path(), 0)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as changed, changed:
        changed.execute('UPDATE waves SET "commit" = ?', (run_git(Path(), "rev-parse", "HEAD"),))
    make_registry(REGISTRY)
    return open_workspace(Path())


def use(root: Path) -> None:
    """Names the files of a clone in the environment, as opening it does."""
    os.environ |= {LEDGER_VARIABLE: f"sqlite:///{root / LEDGER}", KEYS_VARIABLE: f"sqlite:///{root / KEYS}"}
    os.environ |= {MLFLOW_VARIABLE: name_database(root), KEK_VARIABLE: f"file:{root / KEK}"}


def record(root: Path, number: int) -> None:
    """Commits a wave's record."""
    write_json(root / WAVE, {"number": number, "secret_fingerprint": fingerprint(load_secret(Path()))})
    run_git(root, "add", str(WAVE))
    run_git(root, "commit", "--quiet", "--message", f"wave {number}")


def make_registry(path: Path) -> None:
    tables: dict[str, list[str]] = {}
    for table, column in _ADDRESSES:
        tables.setdefault(table, []).append(f"{column} TEXT")
    with closing(sqlite3.connect(path)) as made, made:
        for table, columns in tables.items():
            made.execute(f"CREATE TABLE {table} ({', '.join(columns)})")


@pytest.fixture
def clone(workspace: Workspace, tmp_path: Path) -> Workspace:
    """A clone without anything of the workspace."""
    run_git(tmp_path, "clone", "--quiet", str(workspace.root), str(tmp_path / "clone"))
    (tmp_path / "clone/.dvc").mkdir()
    (tmp_path / "clone/.dvc/config").touch()
    return Workspace(tmp_path / "clone", workspace.params)


def back_up(workspace: Workspace, name: str = "b") -> tuple[Taken, About]:
    """Returns what was taken, and what it says of itself; its key lies beside it."""
    folder = workspace.root.parent
    taken = take_backup(workspace, folder / f"{name}.amun", folder / f"{name}.kek")
    (folder / f"{name}.parts").mkdir()
    about, _ = read_archive(folder / f"{name}.amun", KekFile(folder / f"{name}.kek"), folder / f"{name}.parts")
    return taken, about


def bring_back(clone: Workspace, name: str = "b") -> Restored:
    use(clone.root)
    folder = clone.root.parent
    return restore_backup(clone, folder / f"{name}.amun", folder / f"{name}.kek")


def test_it_asks_for_what_is_recorded_and_not_for_what_is_under_way(
    workspace: Workspace, clone: Workspace, ledger: Ledger
) -> None:
    recorded = run_git(workspace.root, "rev-parse", "HEAD")
    run_git(workspace.root, "commit", "--quiet", "--allow-empty", "--message", "mine, which no remote has")
    run_git(workspace.root, "tag", "wave/mine")
    add(ledger, PEOPLE[0])
    claim_wave(ledger)
    taken, about = back_up(workspace)
    assert (about.commit, about.wave) == (recorded, 0)
    assert "3 commits that no remote of git has" in taken.left_out[0]
    record(clone.root, 1)
    with pytest.raises(InputError, match="git records wave 1, and the backup is from after wave 0"):
        bring_back(clone)
    run_git(clone.root, "reset", "--quiet", "--hard", "HEAD~1")
    run_git(clone.root, "tag", "wave/mine")
    brought = bring_back(clone)
    assert (brought.brought, brought.taken_at) == (("mlflow.db", "ledger.db", "keys.db", "secret"), about.taken_at)
    assert not list((clone.root / STATE).glob("restoring*"))
    open_vault(clone.root).check()
    with pytest.raises(InputError, match="lacks nothing"):
        bring_back(clone)


def test_receipts_that_wait_are_known(workspace: Workspace, ledger: Ledger) -> None:
    before = [*add(ledger, PEOPLE[0], PEOPLE[1])]
    complete_wave(ledger, claim_wave(ledger), erase_after=datetime.now(UTC) - timedelta(days=1))
    ledger.start_erasures(MODEL, now=datetime.now(UTC))
    held = Held(num_train=1, num_held_out=1, in_files=())
    ledger.draft_receipts(MODEL, {request: Draft(held=held, num_keys=1) for request in before})
    ledger.record_destroyed(MODEL, before[:1], datetime.now(UTC))
    assert (back_up(workspace)[1].num_receipts, ledger.count_destroyed()) == (1, 1)


def test_nothing_is_complete_yet(workspace: Workspace, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as changed, changed:
        changed.execute("UPDATE waves SET state = 'open'")
    with pytest.raises(InputError, match="no wave is complete yet"):
        back_up(workspace)


def test_database_that_is_named_and_is_none_stops_it(workspace: Workspace) -> None:
    os.environ[LEDGER_VARIABLE] += "?timeout=5"
    assert "ledger.db" in back_up(workspace)[0].names
    REGISTRY.unlink()
    with pytest.raises(AmunError, match=r"mlflow\.db cannot be copied"):
        back_up(workspace, "other")


PLACES: dict[str, Callable[[Path], Path]] = {
    "that is the key's own place": lambda folder: link(folder / "kek"),
    "is the key's own place": lambda folder: folder / "workspace" / f"{KEK}.next",
    "the key's own place; name one outside": lambda folder: folder / "workspace" / SECRET,
    "that is the backup itself": lambda folder: folder / "b.amun",
}


def link(path: Path) -> Path:
    path.hardlink_to(KEK)
    return path


@pytest.mark.parametrize("words", PLACES)
def test_place_that_is_none_for_the_copy_of_the_key(words: str, workspace: Workspace, tmp_path: Path) -> None:
    SECRET.chmod(0o400)  # and looks like a key
    before = KEK.read_bytes(), SECRET.read_bytes()
    with pytest.raises(InputError, match=f"^--kek-to .*{words}"):
        take_backup(workspace, tmp_path / "b.amun", PLACES[words](tmp_path))
    assert (KEK.read_bytes(), SECRET.read_bytes()) == before
    assert not (tmp_path / "b.amun").exists()


def test_copy_lies_where_a_link_leads_and_is_not_written_again(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "stick").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "stick/kek")
    take_backup(workspace, tmp_path / "1.amun", tmp_path / "link")
    written = (tmp_path / "stick/kek").stat().st_ino
    take_backup(workspace, tmp_path / "2.amun", tmp_path / "link")
    assert (tmp_path / "stick/kek").stat().st_ino == written
    rotate_kek(open_vault())
    take_backup(workspace, tmp_path / "3.amun", tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert read_kek(tmp_path / "stick/kek") == read_kek(KEK)


def test_key_that_changes_meanwhile_leaves_no_backup(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_and_rotate(*args: Any) -> None:
        write_archive(*args)
        rotate_kek(open_vault())

    monkeypatch.setattr("tasks.workspace.backup.write_archive", write_and_rotate)
    with pytest.raises(AmunError, match="was changed while it was written; type this again"):
        take_backup(workspace, tmp_path / "b.amun", tmp_path / "b.kek")
    assert not list(tmp_path.glob("b.*"))


def test_old_copy_of_the_key_is_told(workspace: Workspace, tmp_path: Path) -> None:
    root, copy = workspace.root, tmp_path / "copy"
    take_backup(workspace, tmp_path / "1.amun", copy)
    assert tell_outdated(root) == ""
    rotate_kek(open_vault())
    assert tell_outdated(root).endswith(f": {copy} is still the old one, and opens it")
    taken = take_backup(workspace, tmp_path / "2.amun", None)
    assert "a copy from before its last change does not open this file" in taken.left_out[-1]
    assert tell_outdated(root).startswith(f"{copy} is the copy of an earlier key")
    take_backup(workspace, tmp_path / "3.amun", copy)
    assert tell_outdated(root) == ""
    copy.unlink()
    assert tell_outdated(root) == ""
    rotate_kek(open_vault())
    assert tell_outdated(root).endswith(": that opens no more")


def test_secret_of_the_environment_is_in_it(
    workspace: Workspace, clone: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = SECRET.read_text(encoding="ascii").strip()
    SECRET.unlink()
    with monkeypatch.context() as given:
        given.setenv(SECRET_VARIABLE, text)
        back_up(workspace)
    assert "secret" in bring_back(clone).brought
    assert load_secret(clone.root).hex() == text


def test_key_goes_to_its_place_where_the_key_store_is_elsewhere(workspace: Workspace, clone: Workspace) -> None:
    back_up(workspace)
    use(clone.root)
    os.environ[KEYS_VARIABLE] = f"sqlite:///{workspace.root / KEYS}"
    folder = clone.root.parent
    kek = read_kek(KEK)
    assert "keys.db" not in restore_backup(clone, folder / "b.amun", folder / "b.kek").brought
    assert read_kek(clone.root / KEK) == kek


def test_what_has_got_its_place_meanwhile_stays(
    workspace: Workspace, clone: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(workspace)
    monkeypatch.setattr(os, "sync", lambda: (clone.root / LEDGER).write_bytes(b"another's week"))
    assert "ledger.db" not in bring_back(clone).brought
    assert (clone.root / LEDGER).read_bytes() == b"another's week"


def test_restore_that_was_stopped_is_ended_by_the_same_and_by_no_other(
    workspace: Workspace, clone: Workspace, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    RECEIPT_KEY.write_bytes(b"-")
    back_up(workspace)
    add(ledger, PEOPLE[0])
    complete_wave(ledger, claim_wave(ledger))
    back_up(workspace, "other")
    move = restore._move_file

    def stop_at_keys(source: Path, place: Path) -> None:
        if source.name == "keys.db":
            raise KeyboardInterrupt
        move(source, place)

    with monkeypatch.context() as stopped:
        stopped.setattr(restore, "_move_file", stop_at_keys)
        with pytest.raises(KeyboardInterrupt):
            bring_back(clone)
    assert (clone.root / LEDGER).exists()
    assert not (clone.root / SECRET).exists()
    with pytest.raises(InputError, match="was begun here and is not wholly in its place"):
        bring_back(clone, "other")
    record(clone.root, 1)
    with pytest.raises(InputError, match="git records wave 1"):
        bring_back(clone)  # judged anew
    run_git(clone.root, "reset", "--quiet", "--hard", "HEAD~1")

    def pull(_: Path) -> None:
        raise AmunError("no data")

    with monkeypatch.context() as silent:
        silent.setattr("tasks.tools.dvc.has_remote", lambda _: True)
        silent.setattr("tasks.tools.dvc.pull", pull)
        for _ in range(2):
            with pytest.raises(AmunError, match="all else is in its place, and no data"):
                bring_back(clone)
    assert (clone.root / RECEIPT_KEY).stat().st_mode & 0o777 == 0o400
    assert bring_back(clone).brought == ()
    assert not (clone.root / RESTORING).exists()
