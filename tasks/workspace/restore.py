"""A backup brought back into a clone that lacks it: what is there already stays, for it is newer.

Nothing is put in its place before all of the backup was read, and was found not to bring anybody back who is erased.
Killed after that, the next call ends it.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from amun.core.errors import AmunError, InputError
from amun.core.files import replace_file
from amun.core.keys import parse_secret
from amun.core.locks import hold_lock
from amun.core.paths import INIT_LOCK, REGISTRY_FILES, RESTORING, WAVE
from amun.vault.kek import KEK_VARIABLE, KekFile, fingerprint_kek, locate_kek, write_kek
from tasks.tools import dvc
from tasks.tools.git import read_committed
from tasks.tools.sqlite_files import move_addresses
from tasks.workspace.backup import locate_parts
from tasks.workspace.backup_age import require_latest, require_nobody_back
from tasks.workspace.backup_archive import DATABASES, FILES, About, read_archive
from tasks.workspace.history import require_history
from tasks.workspace.workspace import Workspace, open_ledger, require_own_secret

KEK_NAME = "kek"  # beside the parts, until all have their places
_MODES = {KEK_NAME: 0o400, "receipt-key": 0o400}


@dataclass(frozen=True)
class Restored:
    """What a call has done.

    Attributes:
        brought: the names of the parts that were brought back.
        has_data: whether the DVC remote gave the data; False where there is no remote.
    """

    brought: tuple[str, ...]
    has_data: bool


def restore_backup(workspace: Workspace, archive: Path, kek_path: Path | None) -> Restored:
    """Brings back what a clone of the waves' branch lacks of its workspace.

    Args:
        workspace: the clone.
        archive: that `amun backup` has written.
        kek_path: a copy of the key-encryption key, which is put in its place; None where the key is there.

    Raises:
        InputError: nothing is missing; the backup is another workspace's, or from before an erasure or a wave; its
            key is not at hand; the clone lacks commits.
        AmunError: it is damaged, or a database or the DVC remote does not answer.
    """
    root = workspace.root
    require_history(root)
    with hold_lock(root / INIT_LOCK):
        # what is there has been judged by a call that was killed
        if not (root / RESTORING).exists():
            _stage(workspace, archive, kek_path)
        brought = _put_in_place(root)
    if has_data := dvc.has_remote(root):
        try:
            dvc.pull(root)
        except AmunError as error:
            raise AmunError(f"all else is in its place, and {error}; `dvc pull` brings them") from None
    return Restored(brought, has_data)


def _stage(workspace: Workspace, archive: Path, kek_path: Path | None) -> None:
    """Reads a backup to its end and judges it; what is to be put in its place lies in a folder of its own then."""
    root = workspace.root
    parts = {name: path for name, path in locate_parts(root).items() if path is not None}
    missing = [name for name, path in parts.items() if not path.exists()]
    staging = (root / RESTORING).with_suffix(".unfinished")
    if staging.exists():
        shutil.rmtree(staging)  # of a killed call
    staging.mkdir(mode=0o700)
    try:
        about, kek = read_archive(archive, locate_kek(root) if kek_path is None else KekFile(kek_path), staging)
        _require_fitting(workspace, archive, about, staging, missing)
        for path in staging.iterdir():
            if path.name not in missing:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        if not any(staging.iterdir()):
            raise InputError(f"{archive}: {root} lacks nothing that it has; nothing was changed")
        if (staging / "keys.db").exists() and kek_path is not None:
            _require_kek_place(root, kek)
            write_kek(staging / KEK_NAME, kek)
        if (staging / "mlflow.db").exists():
            move_addresses(staging / "mlflow.db", Path(about.root) / REGISTRY_FILES, root / REGISTRY_FILES)
        staging.rename(root / RESTORING)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _require_fitting(workspace: Workspace, archive: Path, about: About, staging: Path, missing: list[str]) -> None:
    """Refuses a backup of another workspace, and one that would bring somebody back, or lose what is recorded.

    Raises:
        InputError: why.
    """
    root = workspace.root
    if about.model != workspace.model:
        raise InputError(f"{archive}: it is of the model {about.model}, and this clone keeps {workspace.model}")
    if read_committed(root, WAVE) is None:
        raise InputError(f"{root} records no wave: check out the branch of the waves, as of commit {about.commit[:12]}")
    if "secret" in missing:
        text = (staging / "secret").read_text(encoding="ascii").strip()
        require_own_secret(root, parse_secret(text, f"the secret in {archive}"))
    # nobody comes back by the secret or the signing key, and both are what they were
    if not {FILES, *DATABASES}.isdisjoint(missing):
        require_latest(root, about)
        if "ledger.db" not in missing:
            with open_ledger() as ledger:
                require_nobody_back(about, ledger)


def _require_kek_place(root: Path, kek: bytes) -> None:
    """Refuses to bring a key store back beside another one's key-encryption key, or beside a token.

    Raises:
        InputError: its place is taken.
    """
    place = locate_kek(root)
    if not isinstance(place, KekFile):
        raise InputError(
            f"{KEK_VARIABLE} names a token, and the backup's key lies in a file: unset it, or leave --kek out"
        )
    if place.path.exists():
        place.find(fingerprint_kek(kek))


def _put_in_place(root: Path) -> tuple[str, ...]:
    """Puts what was read in its place, the secret last: a clone that has one is a workspace. Returns the names."""
    ready, kek = root / RESTORING, locate_kek(root)
    places = ({KEK_NAME: kek.path} if isinstance(kek, KekFile) else {}) | locate_parts(root)
    brought = []
    for name, place in places.items():
        source = ready / name
        if place is None or not source.exists():
            continue
        if source.is_dir():
            source.rename(place)  # both lie in the workspace
        else:
            _move_file(source, place)
        brought.append(name)
    ready.rmdir()
    return tuple(name for name in brought if name != KEK_NAME)


def _move_file(source: Path, place: Path) -> None:
    """Moves a file to where it may be another disk's, whole."""
    with replace_file(place, 0o600) as unfinished:
        with source.open("rb") as read, unfinished.open("wb") as written:
            shutil.copyfileobj(read, written)
            written.flush()
            os.fsync(written.fileno())
        unfinished.chmod(_MODES.get(source.name, 0o600))
    source.unlink()
