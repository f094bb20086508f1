"""A backup of all that git and DVC do not have of a workspace: one file, sealed under the key-encryption key (KEK).

The KEK is not in it. Each erasure destroys the KEK, and so makes every backup from before unreadable: what these have
of whoever is erased, keys and models in clear among it, goes with the KEK, wherever the file lies.
"""

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from amun import __version__
from amun.core.commands import tell_command
from amun.core.errors import InputError
from amun.core.masking import mask_passwords
from amun.core.paths import BACKUP, REGISTRY, REGISTRY_FILES, SECRET
from amun.core.temporary import open_temporary
from amun.evidence.wave import write_json
from amun.ledger import Ledger
from amun.receipts.signing import locate_signing_key
from amun.vault.kek import KekFile, fingerprint_kek, read_kek, write_kek
from amun.vault.key_store import locate_key_store
from amun.vault.vault import Vault, open_vault
from tasks.tools.addresses import find_addresses
from tasks.tools.environment import LEDGER_VARIABLE, MLFLOW_VARIABLE, name_database
from tasks.tools.git import run_git
from tasks.tools.new_file import require_free
from tasks.tools.sqlite_files import copy_database
from tasks.workspace.backup_archive import DATABASES, FILES, PARTS, About, write_archive
from tasks.workspace.workspace import Workspace, open_ledger

TO, KEK_TO = "--to", "--kek-to"
_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class Taken:
    """What a backup has.

    Attributes:
        names: of what is in it.
        left_out: what lies elsewhere, each with what copies it.
        fingerprint: of the KEK under which it is sealed.
        next_erasure: when somebody's keys are to be destroyed next, and the backup will open no more; None where
            nobody waits for it.
    """

    names: tuple[str, ...]
    left_out: tuple[str, ...]
    fingerprint: str
    next_erasure: datetime | None


def locate_parts(root: Path) -> dict[str, Path | None]:
    """Returns where each part of a backup lies, in the order of `PARTS`; None where that is no file of this machine.

    Raises:
        InputError: the environment names what is none.
    """
    ledger = os.environ[LEDGER_VARIABLE]
    is_own_registry = os.environ[MLFLOW_VARIABLE] == name_database(root) or (
        (served := find_addresses(root)) is not None and served.mlflow == os.environ[MLFLOW_VARIABLE]
    )
    places = {
        FILES: root / REGISTRY_FILES if is_own_registry else None,
        "mlflow.db": root / REGISTRY if is_own_registry else None,
        "ledger.db": Path(ledger.removeprefix(_SQLITE)) if ledger.startswith(_SQLITE) else None,
        "keys.db": locate_key_store(root).path,
        "receipt-key": locate_signing_key(root),
        "secret": root / SECRET,
    }
    return {name: places[name] for name in PARTS}


def take_backup(workspace: Workspace, path: Path, kek_path: Path | None) -> Taken:
    """Writes a backup, its owner's alone, also while a wave runs.

    Args:
        workspace: of which.
        path: a new file, which git does not keep.
        kek_path: takes a copy of the KEK; the copy of an earlier one that is there is destroyed.

    Raises:
        InputError: a file cannot be there; there is no key store, or its KEK is not at hand.
        AmunError: a database is damaged or does not answer.
    """
    root, vault = workspace.root, open_vault(workspace.root)
    require_free(TO, path, root, "holds keys")
    if kek_path is not None:
        _require_kek_place(vault, kek_path, root)
    parts = locate_parts(root)
    with open_temporary() as folder, vault.hold():
        kek, _ = vault.open(vault.store.read_own)
        with open_ledger() as ledger, ledger.hold_writers():
            erasures = ledger.list_erasures(workspace.model, datetime.now(UTC))
            about = _describe(workspace, ledger)
            sources = _copy_databases(parts, folder)
        write_archive(TO, path, kek, about, sources)
        if kek_path is not None:
            write_kek(kek_path, kek)
        write_json(root / BACKUP, {"kek": fingerprint_kek(kek), "taken_at": about.taken_at})
    waiting = [one.erasure.erase_after for one in erasures if one.erasure.erased_at is None]
    left_out = tuple(_tell_left_out(name) for name in parts if parts[name] is None and name != FILES)
    return Taken(tuple(sources), left_out, fingerprint_kek(kek), min(waiting, default=None))


def tell_outdated(root: Path) -> str:
    """Returns why the last backup is of no use any more; empty where it opens, or none was taken.

    Raises:
        InputError, AmunError: the key store is not at hand.
    """
    if not (root / BACKUP).exists():
        return ""
    last = json.loads((root / BACKUP).read_text(encoding="utf-8"))
    if open_vault(root).store.read_own()[0] == last["kek"]:
        return ""
    return f"the backup of {last['taken_at']} opens no more: the key-encryption key was changed since"


def _require_kek_place(vault: Vault, path: Path, root: Path) -> None:
    """Refuses a place for a copy of the KEK before anything is written.

    Raises:
        InputError: the KEK never leaves its token; the file is there and no copy of a KEK; git would keep it.
    """
    if not isinstance(vault.kek, KekFile):
        raise InputError(f"{KEK_TO}: {vault.kek.name} never gives its key away; back it up by its maker's means")
    if not path.exists():
        require_free(KEK_TO, path, root, "holds a key")
    elif path.resolve() == vault.kek.path:
        raise InputError(f"{KEK_TO} {path}: that is the key itself; name another place")
    else:
        read_kek(path)  # nothing but the copy of an earlier one is replaced


def _describe(workspace: Workspace, ledger: Ledger) -> About:
    return About(
        release=__version__,
        model=workspace.model,
        root=str(workspace.root),
        commit=run_git(workspace.root, "rev-parse", "HEAD"),
        taken_at=f"{datetime.now(UTC):%FT%TZ}",
        wave=ledger.list_waves(workspace.model)[-1].number,
        num_receipts=len(ledger.list_receipts(workspace.model)),
        num_destroyed=len(ledger.list_destroyed()),
    )


def _copy_databases(parts: dict[str, Path | None], folder: Path) -> dict[str, Path]:
    """Returns what goes into the archive, the databases as copies of one moment.

    Nobody writes to the ledger meanwhile, so no wave gets any further: what the others have more than the ledger is
    what a run that was killed at that moment would have left, and the next one takes it up.
    """
    sources: dict[str, Path] = {}
    for name, path in parts.items():
        if path is None or not path.exists():
            continue
        sources[name] = path
        if name in DATABASES:
            sources[name] = folder / name
            copy_database(path, sources[name])
    return sources


def _tell_left_out(name: str) -> str:
    """Returns what of a workspace lies elsewhere, and what copies it."""
    if name == "mlflow.db":
        return f"MLflow at {mask_passwords(os.environ[MLFLOW_VARIABLE])}: back up its database and its files there"
    what, url = {
        "ledger.db": ("ledger", os.environ[LEDGER_VARIABLE]),
        "keys.db": ("key store", locate_key_store(Path()).name),
    }[name]
    address = mask_passwords(url).replace("postgresql+psycopg", "postgresql")
    return f"the {what} on Postgres: {tell_command('pg_dump', '--format=custom', f'--file={what[:3]}.dump', address)}"
