"""Waves on a disk that is full, that may not be written, or on which killed programs have left things."""

import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import time

from amun.core.paths import REGISTRY_FILES
from tests.faults.kills import TORN_LOCK
from tests.faults.lab import Lab
from tests.trap import FAILED, open_trap, read_all
from tests.workspaces import BIN, Finished, Site, describe


def fill_the_disk(lab: Lab, site: Site, said: Path) -> None:
    """Lets files grow so far and no further."""
    # in the first one no wave has room
    run_in_little_room(lab, site, said, [100_000, *lab.random.sample([300_000, 600_000, 1_000_000, 1_500_000], 2)])


def run_in_little_room(lab: Lab, site: Site, said: Path, sizes: Sequence[int]) -> None:
    """Runs a wave again and again, no file of which gets longer than so many bytes; in the first it has no room."""
    with said.open("w+", encoding="utf-8") as file, open_trap(site, file, "wave", "run") as run_and_die:
        for number, size in enumerate(sizes):
            ended = lab.note("full", run_and_die("full", str(size)))
            assert ended == FAILED or (number and ended == 0), f"{size}: {ended}: {read_all(file)}"
            # The limit kills git with a signal, where a full disk would let it put its lock away. A lock that is left
            # counts as stale after ten minutes: as if these had gone by.
            with suppress(FileNotFoundError):
                _make_old(site.root / ".git/index.lock")


def leave_things_behind(_: Lab, site: Site, __: Path) -> None:
    """Leaves what killed programs leave: torn locks, stale ones, half-written files."""
    (site.root / ".dvc/tmp").mkdir(parents=True, exist_ok=True)
    (site.root / ".dvc/tmp/rwlock").write_text(TORN_LOCK, encoding="ascii")
    index = site.root / ".git/index.lock"
    index.touch()
    _make_old(index)
    for path in ("wave/wave.json.unfinished", "metrics/audit.json.unfinished", ".amun/secret.unfinished"):
        (site.root / path).write_text("half of", encoding="ascii")
    for folder in list((site.root / ".dvc/cache/files/md5").iterdir())[:5]:
        (folder / "tmp.unfinished").write_bytes(b"half of")


def _make_old(path: Path) -> None:
    """Has a file be from an hour ago."""
    os.utime(path, (time() - 3600, time() - 3600))


def take_rights_away(lab: Lab, site: Site, said: Path) -> None:
    """Makes a folder one in which nobody may write."""
    name = lab.random.choice([".amun", "wave", "metrics", ".dvc/cache", ".git", str(REGISTRY_FILES)])
    folder = site.root / name
    modes = {path: path.stat().st_mode for path in [folder, *folder.rglob("*")] if path.is_dir()}
    for path in modes:
        path.chmod(0o555)
    try:
        # whoever runs as root may write everywhere, unless that is taken away
        failed = _start(site, said, "setpriv", "--bounding-set=-dac_override", str(BIN / "amun"), "wave", "run")
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
    lab.note(name, failed.returncode)
    require_line(failed)


def _start(site: Site, said: Path, *command: str) -> Finished:
    with said.open("w+", encoding="utf-8") as file:
        ended = subprocess.run(command, cwd=site.root, env=site.environment, stdout=file, stderr=file, check=False)
    return Finished(command, ended.returncode, "", said.read_text(encoding="utf-8"))


def require_line(finished: Finished) -> None:
    """Sees that a command has failed, and says why in a line of its own."""
    assert finished.returncode, f"nothing came in its way:\n{describe(finished)}"
    assert "Traceback" not in finished.stderr, finished.stderr
    assert finished.stderr.splitlines()[-1].startswith("amun: "), finished.stderr
