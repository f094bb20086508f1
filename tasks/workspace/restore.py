"""A backup brought back into a clone that lacks it: what is there already stays, for it is newer.

Nothing is put in its place before all of the backup was read, and was found not to bring anybody back who is erased.
Killed after that, the same call ends it: it reads and judges anew, and no other backup is taken in between.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from amun.core.errors import AmunError, InputError
from amun.core.files import replace_file
from amun.core.keys import SECRET_VARIABLE, load_secret, parse_secret
from amun.core.locks import hold_lock
from amun.core.paths import INIT_LOCK, REGISTRY_FILES, RESTORING, STATE, WAVE
from amun.evidence.wave import write_json
from amun.vault.kek import KEK_VARIABLE, KekFile, fingerprint_kek, locate_kek, write_kek
from amun.vault.key_store import locate_key_store
from tasks.tools import dvc
from tasks.tools.git import read_committed
from tasks.tools.sqlite_files import move_addresses
from tasks.workspace.backup import locate_parts
from tasks.workspace.backup_age import require_latest, require_nobody_back
from tasks.workspace.backup_archive import DATABASES, FILES, About, read_archive
from tasks.workspace.history import require_history
from tasks.workspace.workspace import Workspace, open_ledger, require_own_secret

_STAGING = STATE / "restoring"  # what was read, until it has its places
_MODES = {"receipt-key": 0o400}


@dataclass(frozen=True)
class Restored:
    """What a call has done.

    Attributes:
        brought: the names of the parts that were brought back.
        has_data: whether the DVC remote gave the data; False where there is no remote.
        taken_at: when the backup was taken, in ISO 8601.
    """

    brought: tuple[str, ...]
    has_data: bool
    taken_at: str


def restore_backup(workspace: Workspace, archive: Path, kek_path: Path | None) -> Restored:
    """Brings back what a clone of the waves' branch lacks of its workspace.

    Args:
        workspace: the clone.
        archive: that `amun backup` has written.
        kek_path: a copy of the key-encryption key, which is put in its place; None where the key is there.

    Raises:
        InputError: nothing is missing; the backup is another workspace's, or from before an erasure or a wave; its
            key is not at hand; the clone lacks commits; another backup was begun and not ended.
        AmunError: it is damaged, or a database or the DVC remote does not answer.
    """
    root = workspace.root
    require_history(root)
    with hold_lock(root / INIT_LOCK), _open_staging(root) as staging:
        about, kek = read_archive(archive, locate_kek(root) if kek_path is None else KekFile(kek_path), staging)
        is_begun = _require_same(root, about)
        missing = _list_missing(root)
        _require_fitting(workspace, archive, about, staging, missing)
        found = [name for name in missing if (staging / name).exists()]
        place = None if kek_path is None else _find_kek_place(root, kek, "keys.db" in found)
        if not found and place is None and not is_begun:
            raise InputError(f"{archive}: {root} lacks nothing that it has; nothing was changed")
        if "mlflow.db" in found:
            move_addresses(staging / "mlflow.db", Path(about.root) / REGISTRY_FILES, root / REGISTRY_FILES)
        # no power cut may leave a name in its place and nothing under it
        os.sync()
        write_json(root / RESTORING, asdict(about))
        if place is not None:
            write_kek(place, kek)
        brought = _put_in_place(root, staging, found)
    if has_data := dvc.has_remote(root):
        try:
            dvc.pull(root)
        except AmunError as error:
            raise AmunError(f"all else is in its place, and {error}; type this again for them") from None
    (root / RESTORING).unlink()
    return Restored(brought, has_data, about.taken_at)


@contextmanager
def _open_staging(root: Path) -> Iterator[Path]:
    """Gives an empty folder of the workspace, its owner's alone; that of a killed call goes first."""
    staging = root / _STAGING
    if staging.exists():
        shutil.rmtree(staging)
    staging.mkdir(mode=0o700)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _require_same(root: Path, about: About) -> bool:
    """Refuses a backup where another one is half in its place; returns whether this one is.

    Raises:
        InputError: another one is.
    """
    if not (root / RESTORING).exists():
        return False
    begun = json.loads((root / RESTORING).read_text(encoding="utf-8"))
    if begun != asdict(about):
        raise InputError(
            f"the backup of {begun['taken_at']} was begun here and is not wholly in its place: name that one, or begin "
            "anew in another clone"
        )
    return True


def _list_missing(root: Path) -> list[str]:
    """Returns which parts the clone lacks; a secret that the environment gives is not missing."""
    is_given = {"secret"} if os.environ.get(SECRET_VARIABLE) else set[str]()
    places = {name: place for name, place in locate_parts(root).items() if name not in is_given}
    return [name for name, place in places.items() if place is not None and not place.exists()]


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
    text = (staging / "secret").read_text(encoding="ascii").strip()
    secret = parse_secret(text, f"the secret in {archive}") if "secret" in missing else load_secret(root)
    require_own_secret(root, secret)
    # nobody comes back by the secret or the signing key, and both are what they were
    if not {FILES, *DATABASES}.isdisjoint(missing):
        require_latest(root, about)
        if "ledger.db" not in missing:
            with open_ledger() as ledger:
                require_nobody_back(about, ledger)


def _find_kek_place(root: Path, kek: bytes, has_keys: bool) -> Path | None:
    """Returns where the backup's key-encryption key goes; None where it is, or where a token has another place for it.

    Args:
        root: of the clone.
        kek: the key.
        has_keys: the backup's key store is brought back with it; else there is one.

    Raises:
        InputError: its place is another key's, or a token's; or the key store that is there lies under another one.
    """
    place, fingerprint = locate_kek(root), fingerprint_kek(kek)
    if not isinstance(place, KekFile):
        if not has_keys:
            return None
        raise InputError(
            f"{KEK_VARIABLE} names a token, and the backup's key lies in a file: unset it, or leave --kek out"
        )
    if place.path.exists():
        if has_keys:
            place.find(fingerprint)
        return None
    if not has_keys and (now := locate_key_store(root).read_own()[0]) != fingerprint:
        raise InputError(f"--kek is the key-encryption key {fingerprint}, and the key store lies under {now}")
    return place.path


def _put_in_place(root: Path, staging: Path, found: list[str]) -> tuple[str, ...]:
    """Puts what was read in its place, the secret last: a clone that has one is a workspace. Returns the names."""
    places, brought = locate_parts(root), []
    for name in found:
        place = places[name]
        # a ledger that others share may have come back meanwhile
        if place is None or place.exists():
            continue
        if (staging / name).is_dir():
            (staging / name).rename(place)  # both lie in the workspace
        else:
            _move_file(staging / name, place)
        brought.append(name)
    return tuple(brought)


def _move_file(source: Path, place: Path) -> None:
    """Moves a file to where it may be another disk's, whole."""
    with replace_file(place, 0o600) as unfinished:
        with source.open("rb") as read, unfinished.open("wb") as written:
            shutil.copyfileobj(read, written)
            written.flush()
            os.fsync(written.fileno())
        unfinished.chmod(_MODES.get(source.name, 0o600))
    source.unlink()
