"""A backup is brought back into a clone that goes on with the wave; none brings anybody back who is erased."""

import os
import shlex
import sqlite3
import subprocess
import tarfile
from collections.abc import Callable, Sequence
from contextlib import closing
from io import BytesIO
from pathlib import Path
from tarfile import TarFile, TarInfo
from typing import IO, Any, cast

import pytest

from amun.core.errors import AmunError, DamagedError
from amun.core.paths import KEK, LEDGER, RESTORING, SECRET, STATE
from amun.vault.kek import KekFile, read_kek, write_kek
from amun.vault.sealed_stream import seal_stream
from tasks.workspace.backup_archive import About, read_archive, write_archive
from tests.processes import find_computing_stage, wait_until
from tests.readme import fill_in, list_commands, read_cron
from tests.trap import KILLED, open_trap, read_all
from tests.workspaces import BIN, Site, list_people

BACKUP, RESTORE, CHECK = list_commands("operations.md#backups")
ABOUT = About("1", "m", "/nowhere", "0" * 40, "2026-01-01T00:00:00Z", 3, 2, 1)


def clone(site: Site, root: Path, **variables: str) -> Site:
    """Returns an empty clone, as one makes it where the workspace is lost."""
    subprocess.run(["git", "clone", "--quiet", str(site.root), str(root)], check=True)
    return Site(root, site.variables | variables)


def back_up(site: Site, command: Sequence[str]) -> tuple[str, str]:
    """Types a command that writes a backup, and returns what brings it back."""
    verb, to, archive, kek_to, kek = command
    assert (verb, to, kek_to) == ("backup", "--to", "--kek-to")
    assert "which is not in it" in site.run("amun", *command)
    assert (site.root / archive).stat().st_mode & 0o777 == 0o600
    return archive, kek


def refuse(site: Site, archive: str, kek: str, words: str) -> None:
    """Sees that a backup is not brought back, and that nothing of it is left."""
    refused = site.start("amun", "restore", archive, "--kek", kek)
    assert refused.returncode == 2, refused.stderr
    (line,) = refused.stderr.splitlines()
    assert words in line
    assert not any((site.root / path).exists() for path in (SECRET, KEK, RESTORING, STATE / "keys.db"))
    assert not list((site.root / STATE).glob("restoring*"))


def back_up_while_it_computes(site: Site) -> tuple[str, str]:
    """Backs up a workspace in the middle of a wave, which is killed then."""
    with subprocess.Popen(
        [str(BIN / "amun"), "wave", "run"], cwd=site.root, env=site.environment, stdout=subprocess.DEVNULL
    ) as process:
        wait_until(lambda: find_computing_stage(site.root, "adversarial", process.pid), "the stage's start", 300)
        by_cron = read_cron("operations.md#backups", site.root, site.root.parent / "cron")
        # on disks of their own
        folder = str(site.root.parent)
        made = back_up(site, [part.replace("/mnt/backups", folder).replace("/mnt/keys", folder) for part in by_cron])
        process.kill()
    return made


def restore_and_die(site: Site, arguments: tuple[str, ...], said: Path) -> None:
    """Brings a backup back, killed once its first file is in its place."""
    with said.open("w+", encoding="utf-8") as file, open_trap(site, file, "restore", *arguments) as run_and_die:
        assert run_and_die("after", "tasks.workspace.restore:_move_file") == KILLED, read_all(file)
    assert not (site.root / SECRET).exists(), "it is no workspace before all is there"
    assert (site.root / RESTORING).exists()


def test_lost_workspace_comes_back_and_nobody_who_is_erased(site: Site, tmp_path: Path) -> None:
    first, other = site.load("request", "list")[0]["subject_id"], list_people(site)[0][2]
    before = clone(site, tmp_path / "before", AMUN_LEDGER_URL=f"sqlite:///{site.root / LEDGER}")
    old = back_up(site, shlex.split(BACKUP)[1:])
    assert site.start("amun", "doctor").returncode == 0
    site.run("amun", "erase", "run", "--now", "--subject", first)
    assert "is still the old one, and opens it" in site.start("amun", "doctor").stdout
    after = clone(site, tmp_path / "after")
    refuse(after, *old, "1 receipt of erasure from after the backup")
    refuse(after, old[0], str(site.root / KEK), "Each erasure destroys that key")
    # even where git has not heard of it: the ledger that is left knows it
    refuse(before, *old, "1 erasure from after the backup")

    site.run("amun", "request", "add", other)
    new = back_up_while_it_computes(site)
    lost = Site(site.root.rename(tmp_path / "lost"), site.variables)
    found = clone(lost, tmp_path / "found")
    restore = shlex.split(fill_in(RESTORE, {"../backup-1.amun": new[0], "../backup.kek": new[1]}))[1:]
    restore_and_die(found, tuple(restore[1:]), tmp_path / "said")
    assert "brought back" in found.run("amun", *restore)
    assert "lacks nothing" in found.start("amun", *restore).stderr
    with closing(sqlite3.connect(found.root / LEDGER)) as ledger:
        assert ledger.execute("PRAGMA journal_mode").fetchone() == ("wal",), "readers would wait for who writes"
    assert found.start(*shlex.split(CHECK)).returncode == 0
    assert found.load("receipt", "check")["faults"] == []
    assert found.load("keys", "show")["num_listed"] > 0
    assert "wave 2 complete" in found.run("amun", "wave", "run")
    assert [wave["state"] for wave in found.load("wave", "list")] == ["complete"] * 3


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Returns what writes an archive with a file of this name, under a key in the same folder."""
    write_kek(tmp_path / "kek", bytes(32))

    def write_named(name: str) -> Path:
        with (
            (tmp_path / "b.amun").open("wb") as file,
            seal_stream(file, bytes(32)) as sealed,
            tarfile.open(fileobj=cast(IO[bytes], sealed), mode="w|") as archive,
        ):
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, BytesIO(b"evil"))
        return tmp_path / "b.amun"

    return write_named


@pytest.mark.parametrize("name", ["../secret", "/secret", "files/../../secret", "files", "secret/x", "hooks"])
def test_file_of_another_name_is_written_nowhere(name: str, write: Callable[[str], Path], tmp_path: Path) -> None:
    archive, folder = write(name), tmp_path / "a/b"
    folder.mkdir(parents=True)
    with pytest.raises(DamagedError, match="which no backup has"):
        read_archive(archive, KekFile(tmp_path / "kek"), folder)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b", "b.amun", "kek"]


@pytest.mark.parametrize(
    "change", [lambda b: b[:-1], lambda b: b[:60], lambda b: b[:-40] + b"x" + b[-39:], lambda _: b""]
)
def test_damaged_archive_is_one_line(change: Callable[[bytes], bytes], tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"0" * 64)
    kek, folder = read_kek_of(tmp_path), tmp_path / "folder"
    folder.mkdir()
    write_archive("--to", tmp_path / "b.amun", kek, ABOUT, {"secret": tmp_path / "secret"})
    about, _ = read_archive(tmp_path / "b.amun", KekFile(tmp_path / "kek"), folder)
    assert (about, (folder / "secret").read_bytes()) == (ABOUT, b"0" * 64)
    (tmp_path / "b.amun").write_bytes(change((tmp_path / "b.amun").read_bytes()))
    with pytest.raises(AmunError, match=r"b\.amun"):
        read_archive(tmp_path / "b.amun", KekFile(tmp_path / "kek"), folder)


def test_what_a_link_leads_to_is_brought_back(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    for name in ("mounted", "files/one"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "secret").symlink_to("mounted")
    (tmp_path / "files/two").hardlink_to(tmp_path / "files/one")
    kek, folder = read_kek_of(tmp_path), tmp_path / "folder"
    write_archive("--to", tmp_path / "b.amun", kek, ABOUT, {name: tmp_path / name for name in ("files", "secret")})
    folder.mkdir()
    read_archive(tmp_path / "b.amun", KekFile(tmp_path / "kek"), folder)
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == {"files/one": b"files/one", "files/two": b"files/one", "secret": b"mounted"}
    assert not any(path.is_symlink() for path in folder.rglob("*"))


def test_archive_and_its_name_are_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_bytes(b"0" * 64)
    flushed, flush = list[int](), os.fsync

    def note(descriptor: int) -> None:
        flush(descriptor)
        flushed.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", note)
    write_archive("--to", tmp_path / "b.amun", bytes(32), ABOUT, {"secret": tmp_path / "secret"})
    assert flushed == [(tmp_path / "b.amun").stat().st_ino, tmp_path.stat().st_ino]


def test_file_that_changes_under_its_copy_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page").write_bytes(bytes(100))
    look = TarFile.gettarinfo

    def look_and_cut(archive: TarFile, *args: Any, **kwargs: Any) -> TarInfo:
        looked = look(archive, *args, **kwargs)
        (tmp_path / "page").write_bytes(b"")
        return looked

    monkeypatch.setattr(TarFile, "gettarinfo", look_and_cut)
    with pytest.raises(AmunError, match=r"page cannot be copied: unexpected end of data; type this again$"):
        write_archive("--to", tmp_path / "b.amun", bytes(32), ABOUT, {"secret": tmp_path / "page"})
    assert [path.name for path in tmp_path.iterdir()] == ["page"]


def read_kek_of(folder: Path) -> bytes:
    """Returns a new key in a file of the folder."""
    write_kek(folder / "kek", bytes(range(32)))
    return read_kek(folder / "kek")
